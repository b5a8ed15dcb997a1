"""Rate limits: no window ever holds more than its rule allows, whoever reserves, spends and refunds when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entities.logic.quota import SOON, Ledger, Rule, left, quota

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ago(*seconds: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=s) for s in seconds)


@pytest.mark.parametrize(
    ("rule", "spent", "reserved", "remaining", "free_in"),
    [
        (Rule(kind="minute", amount=2), (), 0, 2, None),
        (Rule(kind="minute", amount=2), (30,), 0, 1, None),
        (Rule(kind="minute", amount=2), (30, 50), 0, 0, 10),
        (Rule(kind="minute", amount=2), (60, 61), 0, 2, None),
        (Rule(kind="minute", amount=2), (59.9,), 1, 0, 0.1),
        (Rule(kind="minute", amount=1), (10, 20, 30), 0, 0, 50),
        (Rule(kind="minute", amount=1), (), 1, 0, SOON.total_seconds()),
        (Rule(kind="minute", amount=2), (5,), 2, 0, SOON.total_seconds()),
        (Rule(kind="hour", amount=1), (3599,), 0, 0, 1),
        (Rule(kind="day", amount=1), (86_399,), 0, 0, 1),
        (Rule(kind="gap", amount=10), (), 0, 1, None),
        (Rule(kind="gap", amount=10), (4,), 0, 0, 6),
        (Rule(kind="gap", amount=10), (10,), 0, 1, None),
        (Rule(kind="gap", amount=10), (50,), 1, 0, SOON.total_seconds()),
    ],
)
def test_one_rule_says_what_is_left_and_when_it_is_free(
    rule: Rule, spent: Sequence[float], reserved: int, remaining: int, free_in: float | None
) -> None:
    state = left(rule, Ledger(spent=ago(*spent), reserved=reserved), NOW)
    assert state.remaining == remaining
    assert state.free_at == (None if free_in is None else NOW + timedelta(seconds=free_in))


def test_every_rule_must_agree_and_the_refusal_names_those_that_do_not() -> None:
    rules = [Rule(kind="minute", amount=5), Rule(kind="hour", amount=1), Rule(kind="minute", amount=2, whole=True)]
    state = quota(rules, Ledger(spent=ago(100)), Ledger(spent=ago(1, 2)), NOW)
    assert not state.allowed
    assert state.why == "limit reached: 1 a hour; 2 a minute, all entities together"
    assert state.free_at == NOW + timedelta(seconds=3500)
    assert [one.remaining for one in state.left] == [5, 0, 0]


def test_without_rules_everything_is_allowed() -> None:
    assert quota([], Ledger(spent=ago(*range(99)), reserved=9), Ledger(), NOW).allowed


@dataclass
class Book:
    """A ledger that is written as the verbs do."""

    spent: list[datetime]
    reserved: int = 0

    def ledger(self) -> Ledger:
        return Ledger(spent=tuple(self.spent), reserved=self.reserved)


deeds = st.lists(st.tuples(st.sampled_from(["reserve", "reserve", "spend", "refund"]), st.integers(0, 40)), max_size=60)


@given(deeds, st.integers(1, 4), st.integers(1, 6), st.integers(0, 30))
def test_no_window_is_ever_violated(deeds: list[tuple[str, int]], a_minute: int, an_hour: int, gap: int) -> None:
    rules = [Rule(kind="minute", amount=a_minute), Rule(kind="hour", amount=an_hour)]
    rules += [Rule(kind="gap", amount=gap)] if gap else []
    book, now = Book([]), NOW
    for deed, seconds in deeds:
        now += timedelta(seconds=seconds)
        if deed == "reserve":
            book.reserved += quota(rules, book.ledger(), Ledger(), now).allowed
        elif book.reserved:
            book.reserved -= 1
            if deed == "spend":
                book.spent.append(now)
    for start in book.spent:
        assert sum(start <= t < start + timedelta(minutes=1) for t in book.spent) <= a_minute
        assert sum(start <= t < start + timedelta(hours=1) for t in book.spent) <= an_hour
        assert not any(start < t < start + timedelta(seconds=gap) for t in book.spent)
    if gap:
        assert len(set(book.spent)) == len(book.spent)


@given(st.lists(st.integers(0, 4000), max_size=12), st.integers(1, 5), st.sampled_from(["minute", "hour", "gap"]))
def test_the_moment_it_names_is_the_first_that_is_free(spent: list[int], amount: int, kind: str) -> None:
    rule, ledger = Rule(kind=kind, amount=amount), Ledger(spent=ago(*spent))
    free_at = left(rule, ledger, NOW).free_at
    if free_at is None:
        return
    assert left(rule, ledger, free_at).free_at is None
    assert left(rule, ledger, free_at - timedelta(microseconds=1)).free_at is not None
