"""Pieces of many servers, told on under our name or put together: however an answer is cut, it is the same answer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swwbot_site.gateway.assembly import Chunks, Whole
from swwbot_site.gateway.wishes import Kind


def chunks(kind=Kind.CHAT, *, usage=False):
    return Chunks(id="chatcmpl-1", model="m", created=7, kind=kind, usage=usage)


def piece(delta=None, finish=None, index=0, **more):
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return {
        "id": "theirs",
        "object": "x",
        "created": 1,
        "model": "m:2",
        "system_fingerprint": "m:2",
        "stats": {},
        "choices": [choice | more],
    }


def put(values, kind=Kind.CHAT):
    whole = Whole(id="chatcmpl-1", model="m", created=7, kind=kind)
    for value in values:
        whole.take(value)
    return whole.completion()


USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}}}


def test_a_piece_is_told_on_under_our_name_and_without_what_is_the_servers_own():
    told = chunks().chunk(piece({"content": "Hi"}))
    assert told == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "m",
        "choices": [{"delta": {"role": "assistant", "content": "Hi"}, "index": 0, "logprobs": None, "finish_reason": None}],
    }


def test_the_role_is_told_once_for_each_choice():
    stream = chunks()
    told = [stream.chunk(piece({"content": "a"}, index=index))["choices"][0]["delta"] for index in (0, 1, 0, 1)]
    assert [delta.get("role") for delta in told] == ["assistant", "assistant", None, None]


def test_usage_is_told_only_to_who_asked():
    assert chunks().chunk(USAGE) is None
    assert "usage" not in chunks().chunk(piece({"content": "x"}) | {"usage": {"prompt_tokens": 1}})
    asked = chunks(usage=True)
    assert asked.chunk(piece({"content": "x"}))["usage"] is None
    last = asked.chunk(USAGE)
    assert (last["choices"], last["usage"]["total_tokens"], last["usage"]["completion_tokens_details"]) == ([], 5, {"reasoning_tokens": 1})


@pytest.mark.parametrize(
    "delta", [{"reasoning_content": "hm"}, {"reasoning": "hm"}, {"refusal": "no"}, {"tool_calls": [{"index": 0, "id": "a"}]}]
)
def test_all_that_a_server_says_is_kept(delta):
    told = chunks().chunk(piece(delta, logprobs={"content": [1]}))["choices"][0]
    assert told["delta"] == {"role": "assistant"} | delta
    assert told["logprobs"] == {"content": [1]}


def test_a_whole_completion_is_one_piece():
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    value = {"choices": [{"message": {"role": "assistant", "content": "Hi", "tool_calls": calls}, "finish_reason": "stop"}]}
    told = chunks().chunk(value)["choices"][0]
    assert (told["delta"]["content"], told["delta"]["tool_calls"], told["finish_reason"]) == ("Hi", [{"index": 0} | calls[0]], "stop")
    message = put([value])["choices"][0]["message"]
    assert (message["content"], message["tool_calls"]) == ("Hi", calls)


def test_a_completion_has_text_in_both_ways():
    values = [{"choices": [{"index": 0, "text": part, "finish_reason": None}]} for part in ("On", "ce")]
    values.append({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    stream = chunks(Kind.COMPLETION)
    told = [stream.chunk(value) for value in values]
    assert {one["object"] for one in told} == {"text_completion"}
    assert [one["choices"][0]["text"] for one in told] == ["On", "ce", ""]
    whole = put(values, Kind.COMPLETION)
    assert (whole["object"], whole["choices"][0]) == (
        "text_completion",
        {"index": 0, "text": "Once", "logprobs": None, "finish_reason": "length"},
    )


def test_an_answer_is_put_together_and_counts_even_what_the_server_did_not():
    values = [piece({"role": "assistant", "content": ""}), piece({"reasoning_content": "h"}), piece({"reasoning_content": "m"}),
              piece({"content": "Hel"}), piece({"content": "lo"}), piece({}, "stop")]  # fmt: skip
    whole = put(values)
    assert (whole["id"], whole["object"], whole["created"], whole["model"]) == ("chatcmpl-1", "chat.completion", 7, "m")
    assert whole["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None, "reasoning_content": "hm"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert whole["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert put([*values, USAGE])["usage"]["total_tokens"] == 5


def call(index, **more):
    return piece({"tool_calls": [{"index": index} | more]})


def test_calls_are_joined_by_their_index():
    values = [
        call(0, id="a", type="function", function={"name": "f", "arguments": ""}),
        call(0, function={"arguments": '{"x"'}),
        call(1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
        call(0, function={"arguments": ": 1}"}),
        piece({}, "tool_calls"),
    ]
    (choice,) = put(values)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    assert choice["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_calls_without_an_index_are_told_apart_by_their_id():
    values = [piece({"tool_calls": [{"id": name, "function": {"name": name, "arguments": "{}"}}]}) for name in ("a", "b")]
    assert [one["id"] for one in put(values)["choices"][0]["message"]["tool_calls"]] == ["a", "b"]


def test_the_old_way_to_call_and_the_odds_are_joined_too():
    values = [
        piece({"function_call": {"name": "f", "arguments": "{"}}, logprobs={"content": [1], "refusal": None}),
        piece({"function_call": {"arguments": "}"}}, "function_call", logprobs={"content": [2]}),
    ]
    (choice,) = put(values)["choices"]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert choice["logprobs"] == {"content": [1, 2], "refusal": None}
    assert values[0]["choices"][0]["logprobs"] == {"content": [1], "refusal": None}  # what was taken is not changed


def test_choices_come_in_order():
    values = [piece({"content": "b"}, "stop", 1), piece({"content": "a"}, "length", 0)]
    assert [(one["index"], one["message"]["content"], one["finish_reason"]) for one in put(values)["choices"]] == [
        (0, "a", "length"),
        (1, "b", "stop"),
    ]


ODD = [{}, {"choices": None}, {"choices": "x"}, {"choices": [7, None]}, {"choices": [{}]}, {"choices": [{"delta": 7}]}, {"usage": 7},
       {"choices": [{"delta": {"tool_calls": [7, {"function": 7}, {"index": "x", "id": {}}]}}]}, {"choices": [{"index": True, "text": 7}]},
       {"choices": [{"delta": {"content": 7, "function_call": "x"}, "logprobs": 7, "finish_reason": 7}]},
       {"choices": [{"delta": {"tool_calls": "x"}}], "usage": {"prompt_tokens": "x", "completion_tokens": None}}]  # fmt: skip


@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.COMPLETION])
def test_odd_values_break_nothing(kind):
    stream = chunks(kind, usage=True)
    for value in ODD:
        stream.chunk(value)
    assert put(ODD, kind)["choices"][0]["finish_reason"] == "stop"


CUTS = st.lists(st.integers(0, 60), max_size=8)


def cut(text, places):
    ends = sorted({place for place in places if place < len(text)} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(ends)]


@given(st.text(max_size=60), st.text(max_size=40), st.text(max_size=40), CUTS)
def test_however_an_answer_is_cut_it_is_the_same(said, thought, arguments, places):
    message = {"role": "assistant", "content": said, "reasoning": thought,
               "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]}  # fmt: skip
    unsplit = put([{"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE["usage"]}])
    values = [piece({"role": "assistant", "content": "", "reasoning": ""})]
    values += [piece({"reasoning": part}) for part in cut(thought, places)]
    values += [piece({"content": part}) for part in cut(said, places)]
    values.append(call(0, id="a", type="function", function={"name": "f", "arguments": ""}))
    values += [call(0, function={"arguments": part}) for part in cut(arguments, places)]
    assert put([*values, piece({}, "stop"), USAGE]) == unsplit
    stream = chunks(usage=True)
    assert put([told for value in [*values, piece({}, "stop"), USAGE] if (told := stream.chunk(value))]) == unsplit
