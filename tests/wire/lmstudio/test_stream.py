"""Streams as servers really write them: read piece by piece, judged at the end."""

import json

import pytest

from cluster.lmstudio import errors
from cluster.lmstudio.answer import Answer, storable
from cluster.lmstudio.sse import Reader
from cluster.lmstudio.values import Delta, Timeouts
from cluster.lmstudio.watch import Watch
from tests.wire.lmstudio.helpers import GEMMA, chunk


def read(raw, size=None):
    reader, values = Reader(), []
    for start in range(0, len(raw), size or len(raw)):
        values += reader.feed(raw[start : start + (size or len(raw))])
    return reader, values + reader.close()


STREAMS = [
    ("lf", b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n', [{"a": 1}, {"b": 2}], True, ""),
    ("crlf", b'data: {"a":1}\r\n\r\ndata: [DONE]\r\n\r\n', [{"a": 1}], True, ""),
    ("no blank lines, no space", b'data:{"a":1}\ndata:{"b":2}\n', [{"a": 1}, {"b": 2}], False, ""),
    ("event lines and comments", b': ping\nevent: error\nid: 7\nretry: 3\ndata: {"error":"x"}\n\n', [{"error": "x"}], False, ""),
    ("one value in several lines", b'data: {"a":\ndata: 1}\n\n', [{"a": 1}], False, ""),
    ("no newline at the end", b'data: {"a":1}', [{"a": 1}], False, ""),
    ("utf-8", 'data: {"a":"ü😀"}\n\n'.encode(), [{"a": "ü😀"}], False, ""),
    ("cut in a value", b'data: {"a":1}\n\ndata: {"b', [{"a": 1}], False, '{"b'),
    (
        "a raw line",
        b'data: {"a":1}\n\nproxy error: Failed to read connection\n',
        [{"a": 1}],
        False,
        "proxy error: Failed to read connection",
    ),
    ("plain json", b'{\n    "error": "x"\n}', [], False, '{\n    "error": "x"\n}'),
]


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize(("raw", "values", "done", "body"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS])
def test_a_stream_is_read_however_it_is_written_and_cut(raw, values, done, body, size):
    reader, found = read(raw, size)
    assert (found, reader.done, reader.body) == (values, done, body)


def answered(*values, wanted=(GEMMA,)):
    answer = Answer(wanted=wanted)
    deltas = [answer.take(json.loads(value)) for value in values]
    return answer, [delta for delta in deltas if delta]


def test_an_answer_is_put_together_from_its_pieces():
    usage = json.dumps({"model": GEMMA, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 8}})
    answer, deltas = answered(chunk(""), chunk("Hel"), chunk("lo"), chunk(finish="stop"), usage)
    assert deltas == [Delta(text="Hel"), Delta(text="lo")]
    outcome = answer.outcome(first_token_s=1.0, total_s=2.0)
    assert (outcome.text, outcome.finish_reason, outcome.prompt_tokens, outcome.completion_tokens) == ("Hello", "stop", 9, 8)
    assert (outcome.first_token_s, outcome.total_s, outcome.tokens_per_s, outcome.model) == (1.0, 2.0, 8.0, GEMMA)


def test_a_word_or_two_tell_nothing_of_the_speed():
    timings = {"predicted_n": 1, "predicted_ms": 0.001, "predicted_per_second": 0.0}  # as llama-server tells it of a single token
    usage = json.dumps({"model": GEMMA, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}, "timings": timings})
    answer, _ = answered(chunk("Yes"), chunk(finish="stop"), usage)
    assert answer.outcome(first_token_s=1.0, total_s=1.00001).tokens_per_s is None


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_an_answer_of_nothing_but_reasoning_is_valid_and_empty(name):
    value = {"model": GEMMA, "choices": [{"delta": {name: "hmm"}, "finish_reason": "stop"}]}
    answer, deltas = answered(json.dumps(value))
    outcome = answer.outcome(first_token_s=None, total_s=1.0)
    assert deltas == [Delta(reasoning="hmm")]
    assert (outcome.text, outcome.reasoning, outcome.empty) == ("", "hmm", True)


def test_odd_pieces_are_passed_over():
    odd = [{}, {"choices": []}, {"choices": [{}]}, {"choices": [{"delta": {"content": None}}]}, {"choices": None}, [], "x", 7, None]
    answer, deltas = answered(*[json.dumps(value) for value in odd])
    assert deltas == []
    assert not answer.started


@pytest.mark.parametrize(
    ("name", "wanted"),
    [(f"{GEMMA}:2", (GEMMA,)), (f"{GEMMA}@4bit", (GEMMA,)), ("mine", (GEMMA, "mine")), ("", (GEMMA,)), (GEMMA, (f"{GEMMA}:3",))],
)
def test_copies_variants_and_aliases_may_answer(name, wanted):
    _, deltas = answered(chunk("x", model=name), wanted=wanted)
    assert deltas == [Delta(text="x")]


def test_another_model_is_refused_before_its_first_piece():
    with pytest.raises(errors.WrongModel) as caught:
        answered(chunk("x", model="other/model"))
    assert caught.value.got == "other/model"
    assert not caught.value.started


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([chunk("x")], errors.Truncated),
        ([], errors.Truncated),
        ([chunk("x"), chunk(finish="stop", stats={"stop_reason": "modelUnloaded"})], errors.ModelUnloaded),
        ([chunk("x"), chunk(finish="stop", stats={"stop_reason": "failed"})], errors.Truncated),
        ([chunk("x"), chunk(finish="abort")], errors.Truncated),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(values, kind):
    answer, deltas = answered(*values)
    with pytest.raises(kind) as caught:
        answer.outcome(first_token_s=None, total_s=1.0)
    assert caught.value.started is bool(deltas)


def test_an_error_in_the_stream_remembers_that_it_had_started():
    answer, _ = answered(chunk("x"))
    with pytest.raises(errors.ModelCrashed) as caught:
        answer.take({"error": {"message": "The model has crashed without additional information. (Exit code: 11)"}})
    assert caught.value.started


def test_a_plain_body_in_place_of_a_stream():
    whole = {"model": GEMMA, "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "stats": {"tokens_per_second": 12.5}}
    answer = Answer(wanted=(GEMMA,))
    assert answer.take(answer.body(json.dumps(whole))) == Delta(text="Hello")
    assert answer.outcome(first_token_s=0.1, total_s=1.0).tokens_per_s == 12.5
    cases = [
        ('{"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"}', errors.CapabilityMissing),
        ("proxy error: Failed to read connection", errors.Dropped),
        ('{"hello": 1}', errors.Malformed),
        ("hello", errors.Malformed),
    ]
    for body, kind in cases:
        with pytest.raises(kind):
            Answer(wanted=(GEMMA,)).body(body)
    started, _ = answered(chunk("x"))
    with pytest.raises(errors.Truncated):
        started.body('{"choi')


def test_text_can_always_be_stored():
    assert storable("a\ud83d\ude00b") == "a😀b"
    assert storable("a\ud83d b\x00") == "a\ufffd b\ufffd"


LIMITS = Timeouts(first_token_s=10, idle_s=5, total_s=30)


@pytest.mark.parametrize(
    ("tokens", "deadline", "kind"),
    [
        ((), 110, errors.FirstTokenTimeout),
        ((104,), 109, errors.IdleTimeout),
        ((104, 108), 113, errors.IdleTimeout),
        ((104, 128), 130, errors.TotalTimeout),
    ],
)
def test_each_limit_stands_alone(tokens, deadline, kind):
    watch = Watch(limits=LIMITS, begun=100)
    for moment in tokens:
        watch.token(moment)
    assert watch.deadline() == deadline
    verdict = watch.verdict(deadline)
    assert type(verdict) is kind
    assert verdict.started is bool(tokens)


def test_a_finished_answer_is_waited_for_only_a_moment():
    watch = Watch(limits=LIMITS, begun=100)
    watch.token(104)
    watch.finish(105)
    watch.finish(110)
    assert watch.deadline() == 107
    watch.finish(106, 0.25)
    assert watch.deadline() == 106.25
    assert (watch.first_token_s, watch.total_s(200)) == (4, 5)
