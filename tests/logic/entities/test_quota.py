"""Rate limits: no window ever holds more than its rule allows, whoever reserves, spends and refunds when."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entities.logic.quota import SOON, Ledger, Left, Quota, Rule, left, quota

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ago(*seconds: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(seconds=s) for s in seconds)


def state(rule: Rule, ledger: Ledger, now: datetime = NOW) -> Left:
    return left(rule, ledger.use(rule, now), now)


@pytest.mark.parametrize(
    ("rule", "spent", "reserved", "remaining", "free_in"),
    [
        (Rule(kind="minute", amount=2), (), 0, 2, None),
        (Rule(kind="minute", amount=2), (30,), 0, 1, None),
        (Rule(kind="minute", amount=2), (30, 50), 0, 0, 10),
        (Rule(kind="minute", amount=2), (60, 61), 0, 2, None),
        (Rule(kind="minute", amount=2), (59.9,), 1, 0, 0.1),
        (Rule(kind="minute", amount=1), (10, 20, 30), 0, 0, 50),
        (Rule(kind="minute", amount=5, every=10), (599, 500, 400, 300, 200), 0, 0, 1),
        (Rule(kind="minute", amount=5, every=10), (600, 500, 400, 300, 200), 0, 1, None),
        (Rule(kind="hour", amount=1), (3599,), 0, 0, 1),
        (Rule(kind="hour", amount=1, every=6), (3600 * 6 - 2,), 0, 0, 2),
        (Rule(kind="day", amount=1), (86_399,), 0, 0, 1),
        (Rule(kind="gap", amount=10), (), 0, 1, None),
        (Rule(kind="gap", amount=10), (4,), 0, 0, 6),
        (Rule(kind="gap", amount=10), (10,), 0, 1, None),
        (Rule(kind="gap", amount=10), (-5,), 0, 0, 15),  # a clock that was ahead
    ],
)
def test_one_rule_says_what_is_left_and_when_it_is_free(
    rule: Rule, spent: Sequence[float], reserved: int, remaining: int, free_in: float | None
) -> None:
    found = state(rule, Ledger(spent=ago(*spent), reserved=reserved))
    assert (found.remaining, found.pending) == (remaining, False)
    assert found.free_at == (None if free_in is None else NOW + timedelta(seconds=free_in))


@pytest.mark.parametrize(
    ("rule", "spent", "reserved", "earliest"),
    [
        (Rule(kind="minute", amount=1), (), 1, None),
        (Rule(kind="minute", amount=2), (5,), 2, None),
        (Rule(kind="minute", amount=2), (5, 50), 2, 10),
        (Rule(kind="gap", amount=10), (50,), 1, None),
        (Rule(kind="gap", amount=10), (3,), 1, 7),
    ],
)
def test_what_only_reservations_hold_up_is_asked_again_soon_but_never_before_it_can_be_free(
    rule: Rule, spent: Sequence[float], reserved: int, earliest: float | None
) -> None:
    found = state(rule, Ledger(spent=ago(*spent), reserved=reserved))
    assert (found.remaining, found.pending) == (0, True)
    assert found.earliest == (None if earliest is None else NOW + timedelta(seconds=earliest))
    assert found.free_at == NOW + max(SOON, timedelta(seconds=earliest or 0))


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(kind="gap", amount=45), "45 s between posts"),
        (Rule(kind="hour", amount=20), "20 an hour"),
        (Rule(kind="minute", amount=5, every=10), "5 in any 10 minutes"),
        (Rule(kind="day", amount=9, feed_id=3, feed="main"), "9 a day, in main"),
        (Rule(kind="minute", amount=2, whole=True, feed_id=3, feed="main"), "2 a minute, in main, all entities together"),
    ],
)
def test_a_rule_says_what_it_is(rule: Rule, text: str) -> None:
    assert str(rule) == text


def measured(rules: Sequence[Rule], own: Ledger, whole: Ledger, now: datetime = NOW, feed_id: int | None = None) -> Quota:
    return quota(rules, lambda rule: (whole if rule.whole else own).use(rule, now), now, feed_id=feed_id)


def test_every_rule_must_agree_and_the_refusal_names_those_that_do_not() -> None:
    rules = [Rule(kind="minute", amount=5), Rule(kind="hour", amount=1), Rule(kind="minute", amount=2, whole=True)]
    found = measured(rules, Ledger(spent=ago(100)), Ledger(spent=ago(1, 2)))
    assert not found.allowed
    assert found.why == "limit reached: 1 an hour; 2 a minute, all entities together"
    assert found.free_at == found.earliest == NOW + timedelta(seconds=3500)
    assert [one.remaining for one in found.left] == [5, 0, 0]


def test_a_rule_of_another_feed_is_shown_and_does_not_bind() -> None:
    rules = [Rule(kind="minute", amount=1, feed_id=7, feed="main"), Rule(kind="minute", amount=2)]
    ledger = Ledger(spent=ago(1))
    assert measured(rules, ledger, Ledger()).allowed
    assert measured(rules, ledger, Ledger(), feed_id=8).allowed
    refused = measured(rules, ledger, Ledger(), feed_id=7)
    assert refused.why == "limit reached: 1 a minute, in main"
    assert [one.remaining for one in refused.left] == [0, 1]


def test_who_comes_later_leaves_a_place_for_each_who_waits() -> None:
    rule = Rule(kind="minute", amount=3)
    ledger = Ledger(spent=ago(1))
    found = [quota([rule], lambda one: ledger.use(one, NOW), NOW, ahead=lambda _, n=n: n) for n in (0, 1, 2)]  # type: ignore[misc]
    assert [one.allowed for one in found] == [True, True, False]
    assert (found[2].why, found[2].free_at, found[2].earliest) == ("others wait for: 3 a minute", NOW, None)


def test_without_rules_everything_is_allowed() -> None:
    assert measured([], Ledger(spent=ago(*range(99)), reserved=9), Ledger()).allowed


@dataclass
class Book:
    """A ledger that is written as the verbs do: a post is never settled before its reservation."""

    spent: list[datetime] = field(default_factory=list)
    reserved: list[datetime] = field(default_factory=list)

    def ledger(self) -> Ledger:
        return Ledger(spent=tuple(self.spent), reserved=len(self.reserved))


kinds = st.sampled_from([("minute", 1), ("minute", 3), ("hour", 1), ("gap", 1)])
rules = st.lists(st.builds(lambda kind, amount: Rule(kind=kind[0], every=kind[1], amount=amount), kinds, st.integers(1, 6)), max_size=4)
deeds = st.lists(
    st.tuples(st.sampled_from(["reserve", "reserve", "spend", "refund"]), st.integers(-30, 60), st.integers(0, 9)), max_size=70
)


@given(deeds, rules)
def test_no_window_is_ever_violated_whatever_the_clocks_say(deeds: list[tuple[str, int, int]], rules: list[Rule]) -> None:
    book, now = Book(), NOW
    for deed, seconds, which in deeds:
        now += timedelta(seconds=seconds)  # also backwards
        if deed == "reserve":
            if measured(rules, book.ledger(), Ledger(), now).allowed:
                book.reserved.append(now)
        elif book.reserved:
            since = book.reserved.pop(which % len(book.reserved))
            if deed == "spend":
                book.spent.append(max(since, now))
    for rule in rules:
        for start in book.spent:
            assert sum(start <= t < start + rule.span for t in book.spent) <= rule.posts


@given(
    st.lists(st.integers(-60, 4000), max_size=12),
    st.integers(0, 4),
    st.lists(st.sampled_from(["minute", "hour", "gap"]), max_size=3),
    st.data(),
)
def test_the_moment_it_names_is_the_first_that_is_free(spent: list[int], reserved: int, kinds: list[str], data: st.DataObject) -> None:
    rules = [Rule(kind=kind, amount=data.draw(st.integers(1, 5))) for kind in kinds]
    ledger = Ledger(spent=ago(*spent), reserved=reserved)
    found = measured(rules, ledger, Ledger())
    if found.allowed:
        assert (found.free_at, found.earliest, found.why) == (None, None, "")
        return
    assert found.free_at is not None
    assert found.free_at > NOW
    if not any(one.pending for one in found.left):
        assert measured(rules, ledger, Ledger(), found.free_at).allowed
        assert not measured(rules, ledger, Ledger(), found.free_at - timedelta(microseconds=1)).allowed
    if found.earliest is not None:  # even if everything reserved is refunded now, nothing is free before
        assert found.free_at >= found.earliest
        assert not measured(rules, Ledger(spent=ledger.spent), Ledger(), found.earliest - timedelta(microseconds=1)).allowed
