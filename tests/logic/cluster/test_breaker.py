"""The breaker of a placement, and how many seats stay open."""

import pytest

from cluster.logic.breaker import CRASH_S, Breaker, after, crashed, open_slots, ramp, rest_s

NOW = 1_000_000.0


def through(*outcomes: str) -> Breaker:
    """The breaker after outcomes a second apart: `x` failed, `o` answered, `X` and `O` the same of the trial, when the rest is over."""
    breaker, now = Breaker(), NOW
    for one in outcomes:
        trial = one.isupper()
        now = max(now + 1, breaker.rest_until or 0.0) if trial else now + 1
        breaker = after(breaker, one in "xX", trial=trial, limit=3, first_s=5.0, now=now, dice=lambda: 0.5)
    return breaker


SEQUENCES = {
    "one failure": ("x", 1, False),
    "two failures": ("xx", 2, False),
    "three in a row": ("xxx", 3, True),
    "not in a row": ("xxoxx", 2, False),
    "failures of what was in flight already": ("xxxxxx", 3, False),
    "an answer of what was in flight already": ("xxxo", 0, False),
    "the trial fails": ("xxxX", 4, True),
    "the trial fails again": ("xxxXX", 5, True),
    "the trial answers": ("xxxO", 0, False),
    "the trial answers, and then it fails once": ("xxxOx", 1, False),
}


@pytest.mark.parametrize(("outcomes", "failures", "tripped"), SEQUENCES.values(), ids=SEQUENCES.keys())
def test_a_placement_counts(outcomes: str, failures: int, tripped: bool) -> None:
    breaker = through(*outcomes)
    assert (breaker.failures, breaker.tripped) == (failures, tripped)
    assert (breaker.rest_until is None) is (failures < 3)


@pytest.mark.parametrize(("trials", "seconds"), [(0, 5), (1, 10), (2, 20), (3, 40), (4, 60), (9, 60)])
def test_a_placement_that_fails_its_trials_rests_longer_and_longer_up_to_a_minute(trials: int, seconds: float) -> None:
    breaker, began, now = through(*"xx"), NOW, NOW
    for n in range(trials + 1):
        breaker = after(breaker, True, trial=n > 0, limit=3, first_s=5.0, now=now, dice=lambda: 0.5)
        assert breaker.rest_until is not None
        began, now = now, breaker.rest_until
    assert now - began == seconds


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 8.0), (0.5, 10.0), (1.0, 12.0)])
def test_rests_are_jittered_by_a_fifth(dice: float, seconds: float) -> None:
    assert rest_s(1, first_s=5.0, dice=lambda: dice) == pytest.approx(seconds)


def test_a_trial_that_fails_although_somebody_moved_the_rest_meanwhile_makes_it_rest_longer() -> None:
    """Who lets the trial in moves the end of the rest, so that nobody else is let in."""
    late = after(Breaker(failures=3, rest_until=NOW + 9), True, trial=True, limit=3, first_s=5.0, now=NOW, dice=lambda: 0.5)
    assert (late.failures, late.rest_until, late.tripped) == (4, NOW + 10, True)
    early = after(Breaker(failures=3, rest_until=NOW + 9), True, trial=False, limit=3, first_s=5.0, now=NOW, dice=lambda: 0.5)
    assert (early.failures, early.rest_until, early.tripped) == (3, NOW + 9, False)


def test_a_moment_that_is_over_when_a_failure_comes_counts_as_a_trial() -> None:
    late = after(Breaker(failures=3, rest_until=NOW - 1), True, trial=False, limit=3, first_s=5.0, now=NOW, dice=lambda: 0.5)
    assert (late.failures, late.rest_until) == (4, NOW + 10)


OPEN = {
    "well": (4, 0, None, 0, 4),
    "failed twice": (4, 2, None, 3, 4),
    "resting": (4, 3, NOW + 1, 0, 0),
    "resting, and something is in flight still": (4, 3, NOW + 1, 2, 0),
    "half-open": (4, 3, NOW, 0, 1),
    "half-open, and the trial runs": (4, 3, NOW - 9, 1, 0),
    "half-open, and a seat is shut for another reason": (0, 3, NOW, 0, 0),
}


@pytest.mark.parametrize(("slots", "failures", "rest_until", "in_flight", "seats"), OPEN.values(), ids=OPEN.keys())
def test_open_slots(slots: int, failures: int, rest_until: float | None, in_flight: int, seats: int) -> None:
    assert open_slots(slots, failures, rest_until, NOW, in_flight) == seats


@pytest.mark.parametrize(
    ("since", "slots", "seats"),
    [(None, 8, 8), (0, 8, 1), (-5, 8, 1), (3, 8, 1), (7.5, 8, 2), (15, 8, 4), (29, 8, 7), (30, 8, 8), (999, 8, 8), (1, 1, 1), (29, 0, 0)],
)
def test_a_server_that_came_back_gives_more_and_more_of_its_seats(since: float | None, slots: int, seats: int) -> None:
    assert ramp(slots, None if since is None else NOW - since, NOW, 30.0) == seats


def test_without_a_return_time_all_seats_are_back_at_once() -> None:
    assert ramp(8, NOW, NOW, 0.0) == 8


@pytest.mark.parametrize(("since", "slots", "seats"), [(None, 4, 4), (0, 4, 1), (CRASH_S - 1, 4, 1), (CRASH_S, 4, 4), (1, 0, 0)])
def test_a_model_that_crashed_answers_one_at_a_time_for_a_while(since: float | None, slots: int, seats: int) -> None:
    assert crashed(slots, None if since is None else NOW - since, NOW) == seats
