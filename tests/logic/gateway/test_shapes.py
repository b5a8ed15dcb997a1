"""What the gateway says, byte by byte: nothing of a server or a chat can break out of its event."""

import json
import struct
from base64 import b64decode

import pytest

from swwbot_site.gateway import shapes

EVIL = [
    "a\nb",
    "a\r\ndata: [DONE]\r\n\r\n",
    "\n\nevent: error",
    "\u2028\u2029\x85",
    "\x00\ud800",
    "\u202eabc",
    "x" * 100_000,
    "</script>",
    "😀",
]


@pytest.mark.parametrize("text", EVIL)
def test_no_text_breaks_out_of_its_event_or_comment(text):
    told = shapes.event({"x": text})
    assert told.startswith(b"data: {")
    assert told.endswith(b"}\n\n")
    assert len(told.splitlines()) == 2
    assert json.loads(told[6:]) == {"x": text}
    remark = shapes.comment(text)
    assert remark.startswith(b": ")
    assert len(remark.decode().splitlines()) == 2
    assert len(remark) < 2100


def test_what_json_cannot_say_becomes_null():
    deep = []
    for _ in range(5000):
        deep = [deep]
    told = json.loads(shapes.written({"a": float("nan"), "b": [float("inf"), 1.5], "c": deep, "d": "x"}))
    assert (told["a"], told["b"], told["d"]) == (None, [None, 1.5], "x")


def test_an_error_has_the_shape_of_openai():
    assert shapes.error("No.", "invalid_request_error", "model_not_found", "model") == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    }


def test_models_are_listed_as_openai_does():
    one = shapes.model("google/gemma", 7)
    assert one == {"id": "google/gemma", "object": "model", "created": 7, "owned_by": "saywhatwant"}
    assert shapes.models(iter([one])) == {"object": "list", "data": [one]}


def test_vectors_are_numbers_or_bytes():
    plain = shapes.embeddings([(1.0, 0.5), (2.0, -1.0)], "m", 7, base64=False)
    assert [(row["index"], row["object"], row["embedding"]) for row in plain["data"]] == [
        (0, "embedding", [1.0, 0.5]),
        (1, "embedding", [2.0, -1.0]),
    ]
    assert (plain["object"], plain["model"], plain["usage"]) == ("list", "m", {"prompt_tokens": 7, "total_tokens": 7})
    packed = shapes.embeddings([(1.0, 0.5)], "m", None, base64=True)
    assert struct.unpack("<2f", b64decode(packed["data"][0]["embedding"])) == (1.0, 0.5)
    assert packed["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


def test_the_end_of_a_stream():
    assert shapes.DONE == b"data: [DONE]\n\n"
