"""Scenarios as documents, and played: what is expected, and what is wrong with it."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.reading import Unreadable
from conversations.logic.rehearsal import Beat, Company, heard, play
from conversations.logic.scenario import parse
from conversations.logic.weights import Weights
from entities.logic.quota import Rule
from entities.logic.selection import STRATEGIES
from tests.logic.conversations.values import persona


def document(*messages: dict[str, Any] | str, **setting: Any) -> dict[str, Any]:
    said = [{"text": one} if isinstance(one, str) else one for one in messages]
    return {"entity": "ping", "name": "a test", "setting": setting, "messages": said}


def played(it: dict[str, Any], others: tuple[Any, ...] = (), limits: tuple[Rule, ...] = (), **over: Any) -> tuple[Beat, ...]:
    company = Company(persona=persona(**over), others=others, limits=limits, weigh=lambda scene, cast: Weights(), strategies=STRATEGIES)
    return play(parse(it), company)


def problems(it: dict[str, Any], **over: Any) -> list[str]:
    return [problem for beat in played(it, **over) for problem in beat.problems]


@pytest.mark.parametrize(
    ("message", "over", "wrong"),
    [
        ({"text": "Ping?", "expect": "answers"}, {}, ""),
        ({"text": "Ping?", "expect": "silent"}, {}, "must be silent, but answers: mention of Ping"),
        ({"text": "Hello.", "expect": "answers"}, {}, "must answer, but is silent: never speaks by chance"),
        ({"text": "Ping?", "expect": {"by": "mention"}}, {"enabled": False}, ""),
        ({"text": "Ping?", "expect": {"by": "chance"}}, {}, "must answer by chance, but answers by mention"),
        ({"text": "!fact", "expect": {"by": "trigger"}}, {"triggers": ("!fact",)}, ""),
        ({"text": "Hello.", "to": "ping", "expect": {"by": "id"}}, {}, ""),
        ({"text": "Hello.", "expect": {"by": "chance", "chance": 0.2}}, {"response_chance": 0.2}, ""),
        ({"text": "Hello.", "expect": {"chance": [0.3, 0.4]}}, {"response_chance": 0.2}, "its chance must be from 0.3 to 0.4, but is 0.2"),
        ({"text": "Ping?", "expect": {"chance": 1}}, {}, ""),
        ({"text": "Hello.", "kind": "AI", "who": "Bot", "expect": {"chance": 0}}, {"response_chance": 1.0}, ""),
        ({"text": "Ping?", "expect": {"why": "MENTION"}}, {}, ""),
        ({"text": "Ping?", "expect": {"why": "trigger"}}, {}, "the reason must have 'trigger' in it, but is 'mention of Ping'"),
    ],
)
def test_what_is_expected_is_compared(message: dict[str, Any], over: dict[str, Any], wrong: str) -> None:
    found = problems(document(message, dice="low"), **over)
    assert [one[: len(wrong)] for one in found] == ([wrong] if wrong else [])


def test_dice_are_low_high_or_seeded() -> None:
    for dice, answers in (("low", True), ("high", False)):
        (beat,) = played(document("Hello.", dice=dice), response_chance=0.5)
        assert (beat.answers, beat.chance) == (answers, 0.5)
    seeded = [played(document({"text": "Hello.", "id": f"m{n}"}), response_chance=0.5)[0].answers for n in range(60)]
    assert seeded == [played(document({"text": "Hello.", "id": f"m{n}"}), response_chance=0.5)[0].answers for n in range(60)]
    assert 15 < sum(seeded) < 45


def test_its_answer_stands_in_the_chat_and_others_who_are_there_count() -> None:
    pong = persona("pong", response_chance=1.0)
    it = document("Hello.", {"text": "Hm.", "after_s": 10}, dice="low", present=["pong"])
    alone, together = played(it, response_chance=1.0), played(it, others=(pong,), response_chance=1.0)
    assert [one.answers for one in alone] == [True, True]
    assert [one.answers for one in together] == [True, False]
    assert together[1].why == "has just spoken, and others may"


@pytest.mark.parametrize(("limits", "late"), [("none", ""), ([{"kind": "minute", "amount": 1}], "1 a minute"), ("own", "1 an hour")])
def test_limits_are_those_of_the_scenario(limits: Any, late: str) -> None:
    it = document("Hello.", {"text": "Indeed.", "after_s": 20, "expect": "answers"}, dice="low", limits=limits)
    own = (Rule(kind="hour", amount=1),)
    beats = played(it, limits=own, response_chance=1.0)
    assert [late in problem for beat in beats for problem in beat.problems] == ([True] if late else [])


def test_what_a_model_said_is_held_against_what_is_expected() -> None:
    it = document({"text": "Ping?", "expect": {"text": {"matches": ["^hello"], "avoids": ["sorry"], "longest": 12}}})
    for text, count in (("Hello there", 0), ("Sorry, hello to you all", 3), ("Hello, I am so sorry", 2), ("", 1)):
        (beat,) = played(it)
        heard(beat, text, "the model said nothing")
        assert len(beat.problems) == count, beat.problems


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"messages": []}, "$.messages is empty"),
        ({"messages": [{"text": "Hi.", "id": "a"}, {"text": "Ho.", "id": "a"}]}, "$.messages have an id twice"),
        ({"messages": [{"text": "Hi.", "expect": "maybe"}]}, '$.messages[0].expect is "maybe"; it must be one of answers, silent'),
        ({"messages": [{"text": "Hi.", "expect": {"answers": False, "by": "chance"}}]}, "$.messages[0].expect.answers is false"),
        ({"messages": [{"text": "Hi.", "expect": {"text": {"matches": ["("]}}}]}, "no regular expression"),
        ({"messages": [{"text": "Hi.", "expect": {"chance": [0.5, 0.1]}}]}, "has its greatest before its least"),
        ({"messages": [{"text": "Hi.", "after_s": -1}]}, "$.messages[0].after_s is -1"),
        ({"setting": {"dice": 6}}, "$.setting.dice is 6; it must be one of low, high, seeded"),
        ({"setting": {"limits": 3}}, '$.setting.limits must be "none", "own", or a list'),
        ({"setting": {"limits": [{"kind": "week", "amount": 1}]}}, "$.setting.limits[0].kind"),
        ({"setting": {"weather": "fine"}}, "$.setting.weather is unknown"),
        ({"title": "x"}, "$.title is unknown"),
        ({"_note": "x", "name": ""}, "$.name is"),
    ],
)
def test_a_document_that_is_none_says_where(over: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(document("Hi.") | over)
    assert why in str(refused.value)
    assert len(refused.value.problems) == 1


def test_a_scenario_belongs_to_one_entity() -> None:
    with pytest.raises(Unreadable, match="but the scenario is one of 'pong'"):
        parse(document("Hi."), "pong")


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(st.sampled_from(
        ["messages", "setting", "expect", "text", "chance", "limits", "after_s", "time", "dice", "present", "prompt", "to", "params", "context"]
    ), deeper, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(_ANYTHING)
def test_whatever_stands_in_a_document_it_is_read_or_refused(value: Any) -> None:
    with suppress(Unreadable):
        assert parse(value, "ping", "a test").spoken
