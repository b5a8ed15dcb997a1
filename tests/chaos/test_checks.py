"""The checks of a chaos run find what they are for, so that their silence means something."""

from typing import Any

import pytest

from tests.chaos.checks import Asked, Deaths, Held, harmed, lost, overfull, twice
from tests.chaos.witness import Call


def asked(**over: Any) -> Asked:
    return Asked(**{"number": 1, "state": "done", "text": "Yes.", "server": "a"} | over)


def call(began: float = 0.0, ended: float | None = 1.0, *, whole: bool = True, server: str = "a", text: str = "Yes.") -> Call:
    return Call(number=1, server=server, began=began, ended=ended, completed=ended if whole else None, text=text if whole else "")


@pytest.mark.parametrize(
    ("held", "wrong"),
    [
        ([(1.0, 6.0, False), (2.0, 4.0, False)], False),
        ([(1.0, 6.0, False), (2.0, 5.0, False)], True),
        ([(1.0, 6.0, False), (2.0, 5.0, True)], False),  # somebody else came after us
        ([(1.0, 6.0, True), (2.0, 5.0, False)], True),  # we knew
    ],
)
def test_more_memory_than_there_is_is_found(held: list[tuple[float, float, bool]], wrong: bool) -> None:
    rows = [Held(server="a", made=made, gb=gb, adopted=adopted) for made, gb, adopted in held]
    assert bool(overfull(rows, {"a": 10.0})) is wrong


@pytest.mark.parametrize(
    ("row", "fine"),
    [
        (asked(), True),
        (asked(text=""), False),
        (asked(state="queued"), False),
        (asked(state="running"), False),
        (asked(state="expired", error="too late", deadline=1.0, ended=2.0), True),
        (asked(state="expired", error="too late"), False),
        (asked(state="cancelled", cancelled=True), True),
        (asked(state="cancelled"), False),
        (asked(state="failed", attempts=2, tried=["hang", "hang"], error="It hung."), True),
        (asked(state="failed", attempts=1, tried=["hang"], error="It hung."), False),
        (asked(state="failed", attempts=2, tried=["hang", "hang"]), False),
    ],
)
def test_a_request_that_is_lost_is_found(row: Asked, fine: bool) -> None:
    assert (lost([1], [row], 2) == []) is fine


def test_a_request_without_a_row_or_with_two_is_found() -> None:
    assert len(lost([1, 2], [asked(), asked()], 2)) == 2


@pytest.mark.parametrize(
    ("calls", "deaths", "fine"),
    [
        ([call()], Deaths(), True),
        ([call(whole=False), call(2, 3)], Deaths(), True),
        ([call(), call(2, 3)], Deaths(), False),
        ([call(), call(7, 8)], Deaths(killed=[1.5]), True),
        ([call(), call(7, 8)], Deaths(killed=[6.5]), False),
        ([call(), call(12, 13)], Deaths(killed=[6.5], away=[(0.5, 5.0)]), True),
        ([call(0, 5, whole=False), call(2, 3)], Deaths(), False),  # at the same time
        ([call(0, None, whole=False), call(2, 3)], Deaths(), False),
        ([call(text="No.")], Deaths(), False),
        ([call(server="b")], Deaths(), False),
        ([], Deaths(), False),
    ],
)
def test_an_answer_that_is_given_twice_is_found(calls: list[Call], deaths: Deaths, fine: bool) -> None:
    assert (twice([asked()], calls, deaths) == []) is fine


def test_a_failed_request_that_was_answered_is_found() -> None:
    assert twice([asked(state="failed", error="It hung.")], [call()], Deaths())


def test_harm_to_a_server_is_found() -> None:
    assert harmed("a", 10, 10, [], []) == []
    assert len(harmed("a", 10, 11, ["m"], ["m"])) == 3
