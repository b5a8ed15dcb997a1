"""What a persona sees of the conversation."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.context import lines, sees, size, speakers
from tests.logic.conversations.values import MS, bot, line, persona

WINDOW = [line(f"line {n}", id=n, username=f"U{n}", timestamp=MS - 1000 + n) for n in range(10)]


def asked(**over: Any) -> Any:
    return line("And now?", **{"id": 99} | over)


def test_a_supplied_context_is_used_exactly() -> None:
    shown = lines(persona(messages_to_read=2), asked(context=("A: one", "B: two", "", "A: three")), WINDOW)
    assert shown == ("A: one", "B: two", "", "A: three", "Ann: And now?")


def test_an_empty_context_is_a_context() -> None:
    assert lines(persona(), asked(context=()), WINDOW) == ("Ann: And now?",)


@pytest.mark.parametrize(
    ("nom", "count"),
    [(None, 4), (2, 2), (1, 1), ("ALL", 11), (1000, 11), (99_999, 11), (0, 4), (-3, 4), (True, 4), ("7", 4), (2.5, 4)],
)
def test_a_message_may_say_how_many_lines_are_read(nom: object, count: int) -> None:
    shown = lines(persona(messages_to_read=4), asked(params={"nom": nom}), WINDOW)
    assert len(shown) == count
    assert shown[-1] == "Ann: And now?"
    assert shown[:-1] == tuple(f"U{n}: line {n}" for n in range(10 - count + 1, 10))


def test_a_wish_never_asks_for_more_than_a_thousand() -> None:
    assert size(persona(), asked(params={"nom": 10**9})) == 1000
    assert size(persona(), asked(params={"nom": "ALL"})) == 1000


def test_the_window_ends_before_the_message_and_has_no_empty_lines() -> None:
    window = [line("old", id=1), line(" ", id=2), line("same moment, later", id=100), line("newer", id=3, timestamp=MS + 1)]
    assert lines(persona(), asked(), window) == ("Ann: old", "Ann: And now?")


def test_a_nameless_speaker_is_anon() -> None:
    assert lines(persona(), asked(username=""), []) == ("anon: And now?",)


@pytest.mark.parametrize(
    ("who", "said", "seen"),
    [
        (persona(), line("x"), True),
        (persona(responds_to_humans=False), line("x"), False),
        (persona(), bot("x", "Ping"), True),
        (persona(), bot("x", "Pong"), False),
        (persona(responds_to_all_ai=True), bot("x", "Pong"), True),
        (persona(responds_to_these_ai=("pong",)), bot("x", "Pong"), True),
        (persona(responds_to_these_ai=("pong",)), bot("x", "Stranger"), False),
    ],
)
def test_a_persona_sees_what_it_listens_to_and_its_own_lines(who: Any, said: Any, seen: bool) -> None:
    assert sees(who, said, {"Pong": frozenset({"pong"})}) is seen


def test_speakers_come_once_in_their_order() -> None:
    assert speakers(["B: hi", "A: ho", "B: again", "no label", ": nobody", " C : spaced: out"]) == ("B", "A", "C")


@given(st.integers(1, 1000), st.integers(0, 20), st.one_of(st.none(), st.integers(-5, 2000), st.just("ALL"), st.text(max_size=3)))
def test_the_message_is_always_last_and_the_count_is_kept(reads: int, window: int, nom: object) -> None:
    message = asked(params={"nom": nom})
    who = persona(messages_to_read=reads)
    shown = lines(who, message, [line("x", id=n, timestamp=MS - 1) for n in range(window)])
    assert shown[-1] == message.spoken
    assert len(shown) == min(window + 1, size(who, message))
