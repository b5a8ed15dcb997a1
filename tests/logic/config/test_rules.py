"""Lists of small objects: limits without a key of their own, and warm-up turns."""

from typing import Any

import pytest

from swwbot_site.config.kinds import Wrong
from swwbot_site.config.rules import CONTEXT, RULES, TURNS


def note(text: str) -> None:
    pytest.fail(text)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ({"posts": 5, "every": 10, "per": "minute"}, {"kind": "minute", "amount": 5, "every": 10, "feed": None}),
        ({"posts": 5, "per": "day", "feed": " main "}, {"kind": "day", "amount": 5, "every": 1, "feed": "main"}),
        ({"minSecondsBetweenPosts": 45, "feed": "main", "_why": 1}, {"kind": "gap", "amount": 45, "every": 1, "feed": "main"}),
        ({"posts": 2.0, "every": 3, "per": "hour", "feed": None}, {"kind": "hour", "amount": 2, "every": 3, "feed": None}),
    ],
)
def test_a_rule_is_read_and_shown_as_the_same(raw: dict[str, Any], kept: dict[str, Any]) -> None:
    assert RULES.read([raw], note) == [kept]
    assert RULES.read(RULES.show([kept]), note) == [kept]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "is an object; it must be a list"),
        ([7], r"has 7 \(a number\) at \[0\]"),
        ([{"posts": 5, "every": 1, "per": "minute"}], r"write rateLimits\.maxPostsPerMinute"),
        ([{"minSecondsBetweenPosts": 4}], r"write rateLimits\.minSecondsBetweenPosts"),
        ([{"posts": 0, "every": 2, "per": "minute"}], "posts 0"),
        ([{"posts": True, "every": 2, "per": "minute"}], "posts true"),
        ([{"posts": 1.5, "every": 2, "per": "minute"}], "posts 1.5"),
        ([{"every": 2, "per": "minute"}], "posts null"),
        ([{"posts": 5, "every": 99999, "per": "minute"}], "every 99999"),
        ([{"posts": 5, "every": 2, "per": "week"}], "per 'week'"),
        ([{"posts": 5, "every": 2, "per": "minute", "feed": 3}], "feed 3"),
        ([{"posts": 5, "every": 2, "per": "minute", "fed": "x"}], "'fed'"),
        ([{"minSecondsBetweenPosts": 4, "feed": "a", "per": "hour"}], "'per'"),
        ([{"posts": 5, "every": 2, "per": "minute"}, {"posts": 6, "every": 2, "per": "minute"}], r"at \[1\] what \[0\]"),
    ],
)
def test_what_is_no_rule_is_said_with_its_place(raw: Any, text: str) -> None:
    with pytest.raises(Wrong, match=text):
        RULES.read(raw, note)


TURN = {"role": "user", "content": "Hi"}


def test_turns_are_read_from_a_list_or_novembers_object() -> None:
    assert TURNS.read([TURN], note) == CONTEXT.read({"messages": [TURN], "_note": 1}, note) == CONTEXT.read([TURN], note) == [TURN]
    assert CONTEXT.read(None, note) == CONTEXT.read({}, note) == []
    told: list[str] = []
    CONTEXT.read({"messages": [], "mood": 1}, told.append)
    assert told == ["has 'mood', which is unknown and has no effect"]


@pytest.mark.parametrize(
    "turn", [None, "Hi", {}, {"role": "user"}, {"role": "tool", "content": "x"}, {"role": "user", "content": " "}, {"content": "x"}]
)
def test_what_is_no_turn_is_said_and_never_shown(turn: Any) -> None:
    with pytest.raises(Wrong, match=r"at \[1\]; it must be a list of turns"):
        TURNS.read([TURN, turn], note)
    assert TURNS.show([TURN, turn]) == [TURN]
    assert TURNS.show("odd") == []
