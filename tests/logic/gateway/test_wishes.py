"""Requests of OpenAI's API as programs really send them: read as they are meant, refused with a sentence, and never a crash."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swwbot_site.gateway.wishes import Kind, Refused, read

HELLO = [{"role": "user", "content": "Hello"}]
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def body(**fields):
    return json.dumps(fields).encode()


def chat(**fields):
    return read(Kind.CHAT, body(**({"model": "m", "messages": HELLO} | fields)))


def test_a_chat_is_read_and_what_we_do_not_know_passes_through():
    more = {
        "temperature": 0.5,
        "tools": [TOOL],
        "seed": 7,
        "response_format": {"type": "text"},
        "n": 2,
        "logprobs": True,
        "anything": {"a": [1]},
    }
    wish = chat(stream=True, stream_options={"include_usage": True}, max_tokens=5, stop="END", **more)
    assert (wish.kind, wish.model, wish.stream, wish.usage, wish.max_tokens, wish.stop) == (Kind.CHAT, "m", True, True, 5, ("END",))
    assert wish.messages == tuple(HELLO)
    assert wish.fields == more


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 7),
    ],
)
def test_the_length_of_an_answer_has_two_names_and_no_limit_several(fields, max_tokens):
    wish = chat(**fields)
    assert (wish.max_tokens, wish.fields) == (max_tokens, {})


def test_nothing_but_a_model_and_messages_is_needed_and_null_is_nothing():
    plain = chat()
    assert (plain.stream, plain.usage, plain.stop, plain.fields, plain.base64) == (False, False, (), {}, False)
    null = chat(stream=None, stream_options=None, stop=None, temperature=None, n=None)
    assert (null.stream, null.usage, null.stop) == (False, False, ())
    assert chat(messages=[*HELLO, CALL, {"role": "tool", "tool_call_id": "c1", "content": "7"}]).messages[1] == CALL
    parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    assert chat(messages=[{"role": "user", "content": parts}]).messages[0]["content"] == parts
    assert len(chat(stop=["a", "b", "c", "d", "e", ""]).stop) == 5
    developer = [{"role": "developer", "content": "Be brief.", "name": "d"}, *HELLO]
    assert chat(messages=developer).messages == ({"role": "system", "content": "Be brief.", "name": "d"}, *HELLO)


WRONG = [
    (b"", None, "valid JSON"),
    (b"{", None, "valid JSON"),
    (b"\xff\xfe", None, "valid JSON"),
    (b'{"model":"m","messages":[{"role":"user","content":NaN}]}', None, "NaN"),
    (b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1e999}', None, "too large"),
    (b'{"model":"m","seed":' + b"9" * 5000 + b"}", None, "valid JSON"),
    (b"[" * 100_000, None, "nested"),
    (b'{"model":"m","x":' + b'{"a":' * 500 + b"1" + b"}" * 501, None, "nested"),
    (b"[]", None, "object"),
    (b"null", None, "object"),
    (body(messages=HELLO), "model", "model"),
    (body(model="", messages=HELLO), "model", "model"),
    (body(model=" ", messages=HELLO), "model", "model"),
    (body(model=7, messages=HELLO), "model", "model"),
    (body(model="m\x00", messages=HELLO), "model", "printable"),
    (body(model="m\u202e", messages=HELLO), "model", "printable"),
    (body(model="m" * 400, messages=HELLO), "model", "300"),
    (body(model="m"), "messages", "messages"),
    (body(model="m", messages=[]), "messages", "at least one"),
    (body(model="m", messages="Hello"), "messages", "list"),
    (body(model="m", messages=["Hello"]), "messages[0]", "object"),
    (body(model="m", messages=[*HELLO, {"content": "x"}]), "messages[1].role", "role"),
    (body(model="m", messages=[{"role": 1, "content": "x"}]), "messages[0].role", "role"),
    (body(model="m", messages=[{"role": "user", "content": 7}]), "messages[0].content", "string or a list"),
    (body(model="m", messages=[{"role": "user", "content": ["x"]}]), "messages[0].content[0]", "type"),
    (body(model="m", messages=HELLO, stream="yes"), "stream", "true or false"),
    (body(model="m", messages=HELLO, stream=1), "stream", "true or false"),
    (body(model="m", messages=HELLO, stream_options=True), "stream_options", "object"),
    (body(model="m", messages=HELLO, stream_options={"include_usage": 1}), "stream_options.include_usage", "true or false"),
    (body(model="m", messages=HELLO, max_tokens=0), "max_tokens", "from 1"),
    (body(model="m", messages=HELLO, max_tokens=True), "max_tokens", "whole number"),
    (body(model="m", messages=HELLO, max_tokens="5"), "max_tokens", "whole number"),
    (body(model="m", messages=HELLO, max_completion_tokens=1.5), "max_completion_tokens", "whole number"),
    (body(model="m", messages=HELLO, max_tokens=2**40), "max_tokens", "2147483647"),
    (body(model="m", messages=HELLO, n=0), "n", "from 1"),
    (body(model="m", messages=HELLO, n="2"), "n", "whole number"),
    (body(model="m", messages=HELLO, temperature=2.1), "temperature", "from 0 to 2"),
    (body(model="m", messages=HELLO, temperature="warm"), "temperature", "number"),
    (body(model="m", messages=HELLO, temperature=True), "temperature", "number"),
    (body(model="m", messages=HELLO, top_p=-1), "top_p", "from 0 to 1"),
    (body(model="m", messages=HELLO, presence_penalty=3), "presence_penalty", "from -2 to 2"),
    (body(model="m", messages=HELLO, stop={"a": 1}), "stop", "list of strings"),
    (body(model="m", messages=HELLO, stop=["a", 1]), "stop", "list of strings"),
    (body(model="m", messages=HELLO, stop=False), "stop", "list of strings"),
]


@pytest.mark.parametrize(("raw", "param", "said"), WRONG, ids=[raw[:60].decode("latin-1") for raw, _, _ in WRONG])
def test_a_wrong_chat_is_refused_with_the_field_and_what_to_do(raw, param, said):
    with pytest.raises(Refused) as caught:
        read(Kind.CHAT, raw)
    assert (caught.value.status, caught.value.param, caught.value.type) == (400, param, "invalid_request_error")
    assert said in caught.value.message
    assert str(caught.value) == caught.value.message
    assert len(caught.value.message) < 300


def test_a_completion_has_one_text_to_go_on():
    wish = read(Kind.COMPLETION, body(model="m", prompt="Once", max_tokens=0, echo=True, stream=True))
    assert (wish.prompt, wish.max_tokens, wish.fields, wish.stream) == ("Once", 0, {"echo": True}, True)
    assert read(Kind.COMPLETION, body(model="m", prompt=["Once"])).prompt == "Once"
    assert read(Kind.COMPLETION, body(model="m", prompt="")).prompt == ""
    for prompt, said in (
        (None, "string"),
        ([], "string"),
        ([1, 2], "tokens"),
        ([[1]], "tokens"),
        (["a", "b"], "request of its own"),
        (7, "string"),
    ):
        with pytest.raises(Refused, match=said) as caught:
            read(Kind.COMPLETION, body(model="m", prompt=prompt))
        assert caught.value.param == "prompt"


def test_embeddings_are_of_texts():
    wish = read(Kind.EMBEDDING, body(model="m", input=["a", "b"], encoding_format="base64", dimensions=3, user="u"))
    assert (wish.inputs, wish.base64, wish.fields) == (("a", "b"), True, {"dimensions": 3, "user": "u"})
    assert read(Kind.EMBEDDING, body(model="m", input="a", encoding_format="float")).inputs == ("a",)
    cases = [
        (None, "string"),
        ([], "at least one"),
        ("", "empty"),
        (["a", ""], "empty"),
        ([1, 2], "tokens"),
        ([[1]], "tokens"),
        (["a"] * 2049, "2048"),
    ]
    for given_input, said in cases:
        with pytest.raises(Refused, match=said) as caught:
            read(Kind.EMBEDDING, body(model="m", input=given_input))
        assert caught.value.param == "input"
    with pytest.raises(Refused, match="encoding_format"):
        read(Kind.EMBEDDING, body(model="m", input="a", encoding_format="hex"))


def test_of_a_key_that_stands_twice_the_last_one_counts():
    assert read(Kind.CHAT, b'{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}').model == "b"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = ("model", "messages", "prompt", "input", "stream", "stream_options", "max_tokens", "n", "stop", "temperature", "tools", "x")
FIELDS = st.dictionaries(st.sampled_from(NAMES), JSON | st.just("m") | st.just(HELLO), max_size=6)


@given(st.sampled_from(Kind), FIELDS.map(json.dumps).map(str.encode) | st.binary(max_size=60) | JSON.map(json.dumps).map(str.encode))
def test_whatever_is_sent_is_read_or_refused_and_can_be_kept(kind, raw):
    try:
        wish = read(kind, raw)
    except Refused:
        return
    kept = wish.document()
    assert json.loads(json.dumps(kept, allow_nan=False).encode("utf-8")) == kept
    for end in ("\\u0000", "\\ud8", "\\udc"):
        assert end not in json.dumps(kept).replace("\\\\", "")
