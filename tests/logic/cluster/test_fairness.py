"""Whose turn it is."""

from random import Random

import pytest

from cluster.logic.fairness import ANSWER_S, LONGEST_CHARGE_S, charge, jain, share, turn


def burst(n: int, now: float = 100.0, cost_s: float = 5.0, weight: float = 1.0) -> list[float]:
    """The shares of a caller who queues `n` requests at one moment, none of which is served meanwhile."""
    shares: list[float] = []
    for _ in range(n):
        shares.append(share(now, shares[-1] if shares else None, None, cost_s, weight))
    return shares


def test_a_lone_request_has_its_share_now() -> None:
    assert share(100.0, None, None, 5.0, 1.0) == 100.0


@pytest.mark.parametrize(("weight", "apart"), [(1.0, 5.0), (2.0, 2.5), (0.5, 10.0)])
def test_each_request_of_a_burst_has_it_one_answer_later_by_weight(weight: float, apart: float) -> None:
    assert burst(4, weight=weight) == [100.0 + n * apart for n in range(4)]


def test_who_waited_longer_than_his_share_asked_loses_nothing_more() -> None:
    assert share(100.0, 60.0, None, 5.0, 1.0) == 100.0


@pytest.mark.parametrize(
    ("backlog", "charged", "at"), [(None, 130.0, 130.0), (None, 90.0, 100.0), (140.0, 130.0, 145.0), (100.0, 130.0, 130.0)]
)
def test_loads_on_the_account_push_the_next_request_back(backlog: float | None, charged: float, at: float) -> None:
    assert share(100.0, backlog, charged, 5.0, 1.0) == at


def test_a_step_of_priority_weighs_so_many_seconds() -> None:
    assert [turn(100.0, priority, 3.0) for priority in (0, 50, 99)] == [100.0, 250.0, 397.0]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_is_queued_after_a_turn_can_overtake_it(seed: int) -> None:
    """The stated bound, for any arrivals, priorities and weights."""
    dice = Random(seed)
    latest: dict[int, float] = {}
    queued: list[tuple[float, float]] = []
    now = 0.0
    for _ in range(300):
        now += dice.expovariate(1.0)
        caller = dice.randrange(4)
        charged = now + dice.uniform(-50, LONGEST_CHARGE_S) if dice.random() < 0.1 else None
        backlog = latest.get(caller) if dice.random() < 0.8 else None
        at = share(now, backlog, charged, dice.uniform(0.5, 20), dice.choice((0.5, 1.0, 4.0)))
        latest[caller] = at
        queued.append((now, turn(at, dice.randrange(100), 3.0)))
    assert all(later >= at for at, later in queued)
    for at, mine in queued:
        assert not [other for arrived, other in queued if arrived > mine and other < mine], at


def test_two_callers_with_equal_backlogs_are_served_alternately_whatever_their_bursts() -> None:
    mine, theirs = burst(20), burst(4)
    order = sorted([(at, "mine") for at in mine] + [(at, "theirs") for at in theirs])
    assert [who for _, who in order[:8]].count("theirs") == 4


def test_who_weighs_twice_gets_twice() -> None:
    order = sorted([(at, "heavy") for at in burst(40, weight=2.0)] + [(at, "light") for at in burst(40)])
    first = [who for _, who in order[:31]]
    assert first.count("heavy") == pytest.approx(2 * first.count("light"), abs=2)


@pytest.mark.parametrize(
    ("charged", "seconds", "weight", "until"),
    [
        (None, 40.0, 1.0, 140.0),
        (90.0, 40.0, 1.0, 140.0),
        (120.0, 40.0, 1.0, 160.0),
        (None, 40.0, 2.0, 120.0),
        (None, 4000.0, 1.0, 100.0 + LONGEST_CHARGE_S),
        (110.0, 4000.0, 1.0, 100.0 + LONGEST_CHARGE_S),
        (100.0 + LONGEST_CHARGE_S + 5, 10.0, 1.0, 100.0 + LONGEST_CHARGE_S + 5),
    ],
)
def test_a_load_is_charged_up_to_a_bound(charged: float | None, seconds: float, weight: float, until: float) -> None:
    assert charge(100.0, charged, seconds, weight) == until


@pytest.mark.parametrize(
    ("values", "index"),
    [([], 1.0), ([0.0, 0.0], 1.0), ([3.0], 1.0), ([2.0, 2.0, 2.0], 1.0), ([1.0, 0.0, 0.0, 0.0], 0.25), ([1.0, 3.0], 0.8)],
)
def test_jains_index(values: list[float], index: float) -> None:
    assert jain(values) == pytest.approx(index)


def test_an_answer_costs_something_before_anything_is_learned() -> None:
    assert ANSWER_S > 0
