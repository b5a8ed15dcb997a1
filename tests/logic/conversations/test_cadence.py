"""When a thing is done again, and when a counting backend may be posted to."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.cadence import ATTEMPTS, FIRST_LOOK, next_attempt, next_look, next_poll
from conversations.logic.delivery import BURST, SILENCE, silent_until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def middle() -> float:
    return 0.5


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("interval", "failures", "seconds"),
    [(5, 0, 5), (5, 1, 10), (5, 2, 20), (5, 3, 40), (5, 4, 60), (5, 99, 60), (0.2, 0, 0.2), (0.2, 1, 2), (120, 0, 120), (120, 1, 120)],
)
def test_polls_rest_longer_after_failures_but_at_most_a_minute(interval: float, failures: int, seconds: float) -> None:
    assert next_poll(NOW, interval, failures, middle) == after(seconds)


def test_a_failed_poll_comes_again_at_a_moment_of_its_own() -> None:
    assert next_poll(NOW, 5, 1, lambda: 0.0) == after(8)
    assert next_poll(NOW, 5, 1, lambda: 0.999) == pytest.approx(after(12), abs=timedelta(seconds=0.01))


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 1), (2, 2), (3, 5), (4, 10), (5, 20), (6, 40), (7, 60), (8, 60), (11, 60)])
def test_attempts_back_off(attempts: int, seconds: float) -> None:
    assert next_attempt(NOW, attempts, middle) == after(seconds)


def test_after_twelve_attempts_a_person_has_to_look() -> None:
    assert next_attempt(NOW, ATTEMPTS, middle) is None
    assert next_attempt(NOW, ATTEMPTS - 1, middle) is not None


@pytest.mark.parametrize(
    ("seconds", "look"),
    [(0, 0.5), (0.5, 1.5), (1.4, 1.5), (1.5, 3.5), (3.5, 7.5), (7.5, 15.5), (15.5, 30.5), (30.5, 65), (64.9, 65), (65, None), (900, None)],
)
def test_an_accepted_post_is_looked_for_until_it_must_be_lost(seconds: float, look: float | None) -> None:
    assert next_look(NOW, after(seconds), 65.0) == (None if look is None else after(look))


def test_a_feed_may_be_quicker_to_lose() -> None:
    assert [next_look(NOW, after(s), 1.0) for s in (0, 0.5, 1.0)] == [NOW + FIRST_LOOK, after(1), None]


@given(st.floats(0, 300), st.floats(0.1, 100))
def test_a_look_is_never_in_the_past(seconds: float, lost_after: float) -> None:
    look = next_look(NOW, after(seconds), lost_after)
    assert look is None or after(seconds) < look <= after(max(lost_after, seconds)) + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("posted", "until"),
    [
        ([], None),
        ([0] * 9, None),
        ([0] * 10, 61),
        ([-60 * n for n in range(10)], 61),
        ([-5 - n for n in range(11)], 56),
        ([-62 * n for n in range(11)], None),
        ([0, 0, 0, 0, 0, -61, -61, -61, -61, -61, -61], None),
        ([0, 0, 0, 0, 0, -60.9, -61, -61, -61, -61], 61),
    ],
)
def test_a_backend_that_counts_wants_a_minute_of_silence_after_ten(posted: list[float], until: float | None) -> None:
    assert silent_until([after(s) for s in posted]) == (None if until is None else after(until))


@given(st.lists(st.floats(0, 100), max_size=60))
def test_a_backend_that_counts_never_answers_429(pauses: list[float]) -> None:
    """Its counter renews itself with each accepted post and is forgotten after a minute without one."""
    now, posted, count = NOW, list[datetime](), 0
    for pause in pauses:
        now += timedelta(seconds=pause)
        until = silent_until(posted[: BURST + 1])
        if until and until > now:
            continue
        count = 1 if posted and now - posted[0] >= timedelta(seconds=60) else count + 1
        assert count <= BURST
        posted.insert(0, now)
    assert timedelta(seconds=60) < SILENCE
