"""What is kept of a request in its row: all of a usual one, never more than about 64 kB, and nothing that a database refuses."""

import json

import pytest

from swwbot_site.gateway.wishes import Kind, read

LIMIT = 64_000


def kept(kind, **fields):
    return read(kind, json.dumps({"model": "m"} | fields).encode()).document()


def size(document):
    return len(json.dumps(document, ensure_ascii=False).encode("utf-8"))


def test_a_usual_request_is_kept_as_it_is():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße 😀", "name": "Anna"}]
    assert kept(Kind.CHAT, messages=messages, temperature=0.5, max_tokens=9, stop=["x"], stream=True) == {
        "messages": messages,
        "sampling": {"temperature": 0.5},
        "max_tokens": 9,
        "stop": ["x"],
        "endpoint": "/v1/chat/completions",
    }


def test_a_completion_and_embeddings_are_kept_as_what_a_user_said():
    told = kept(Kind.COMPLETION, prompt="Once")
    assert (told["messages"], told["endpoint"]) == ([{"role": "user", "content": "Once"}], "/v1/completions")
    told = kept(Kind.EMBEDDING, input=["a", "b"])
    assert [one["content"] for one in told["messages"]] == ["a", "b"]
    assert told["endpoint"] == "/v1/embeddings"


def test_parts_become_one_text_and_a_picture_its_beginning():
    url = "data:image/png;base64," + "A" * 30_000
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "quick!"}]
    (message,) = kept(Kind.CHAT, messages=[{"role": "user", "content": parts}])["messages"]
    first, picture, last = message["content"].split("\n")
    assert (first, last) == ("what is it?", "quick!")
    assert picture.startswith("[image_url: data:image/png;base64,AAA")
    assert "30022 characters" in picture
    assert len(picture) < 200


HUGE = [
    ("one text", Kind.CHAT, {"messages": [{"role": "user", "content": "x" * 500_000}]}),
    ("many texts", Kind.CHAT, {"messages": [{"role": "user", "content": "é" * 3000}] * 2000}),
    (
        "many pictures",
        Kind.CHAT,
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "A" * 9999}}] * 90}]},
    ),
    ("tools", Kind.CHAT, {"messages": [{"role": "user", "content": "x"}], "tools": [{"a": "b" * 3000}] * 40}),
    ("many fields", Kind.CHAT, {"messages": [{"role": "user", "content": "x"}], **{f"f{n}" * 20: [n] * 50 for n in range(3000)}}),
    ("many ends", Kind.CHAT, {"messages": [{"role": "user", "content": "x"}], "stop": ["😀" * 900] * 500}),
    ("long names", Kind.CHAT, {"messages": [{"role": "r" * 60_000, "content": "x", "z" * 60_000: 1}]}),
    ("numbers", Kind.CHAT, {"messages": [{"role": "user", "content": "x"}], "bias": {str(n): n for n in range(30_000)}}),
    ("a prompt", Kind.COMPLETION, {"prompt": "\x00\ud800é" * 90_000}),
    ("inputs", Kind.EMBEDDING, {"input": ["y" * 700] * 2000}),
]


@pytest.mark.parametrize(("kind", "fields"), [case[1:] for case in HUGE], ids=[case[0] for case in HUGE])
def test_of_a_huge_request_the_row_stays_small(kind, fields):
    told = kept(kind, **fields)
    assert size(told) <= LIMIT
    assert set(told) == {"messages", "sampling", "max_tokens", "stop", "endpoint"}
    assert all(isinstance(one["content"], str) for one in told["messages"])


def test_of_a_long_text_both_ends_are_kept_and_of_many_messages_the_first_and_the_last():
    long = {"role": "user", "content": "BEGIN " + "x" * 100_000 + " END"}
    told = kept(Kind.CHAT, messages=[{"role": "system", "content": "short"}, *[long] * 300, {"role": "user", "content": "last"}])[
        "messages"
    ]
    assert (told[0]["content"], told[-1]["content"]) == ("short", "last")
    assert told[1]["content"].startswith("BEGIN x")
    assert told[1]["content"].endswith("x END")
    assert [one["content"] for one in told if one["role"] == "note"] == ["[202 messages are not kept]"]


def test_what_no_row_takes_is_replaced():
    told = kept(Kind.CHAT, messages=[{"role": "user", "content": "a\x00b\ud800c😀"}], user="\udfff", **{"k\x00": ["\x00"]})
    assert told["messages"][0]["content"] == "a\ufffdb\ufffdc😀"
    assert told["sampling"] == {"user": "\ufffd", "k\ufffd": ["\ufffd"]}
