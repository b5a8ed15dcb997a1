"""What outcomes make of a server."""

from datetime import UTC, datetime, timedelta

import pytest

from cluster.logic.health import Fault, Health, after
from cluster.logic.lifecycle import ServerState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OK = None
SLOW = Fault(text="slow", harms=True)
DEAD = Fault(text="refused", harms=True, fatal=True)
OURS = Fault(text="our request is wrong", harms=False)
LOCKED = Fault(text="no token", harms=False, misconfigured=True)
LATER = Fault(text="too many", harms=False, limited=True, pause_s=7.0)
BUSY = Fault(text="too many, and no time named", harms=False, limited=True)
NEVER = Fault(text="too many", harms=False, limited=True, pause_s=1e18)

ON, OFF, UNKNOWN, WRONG = ServerState.ONLINE, ServerState.OFFLINE, ServerState.UNKNOWN, ServerState.MISCONFIGURED
LIMITED = ServerState.RATE_LIMITED


def through(outcomes: list[Fault | None], state: ServerState = ON) -> Health:
    """The health after a sequence of outcomes; no jitter."""
    health = Health(state=state, failures=0)
    for one in outcomes:
        health = after(one, health.state, health.failures, limit=3, pause_s=5.0, now=NOW, dice=lambda: 0.5)
    return health


SEQUENCES = {
    "well": ([OK], ON, 0, None),
    "one failure": ([SLOW], ON, 1, None),
    "two failures": ([SLOW, SLOW], ON, 2, None),
    "three failures in a row": ([SLOW] * 3, OFF, 3, 5),
    "not in a row": ([SLOW, SLOW, OK, SLOW, SLOW], ON, 2, None),
    "nothing listens": ([DEAD], OFF, 1, 5),
    "nothing listens, again and again": ([DEAD] * 2, OFF, 2, 10),
    "nothing listens for long": ([DEAD] * 9, OFF, 9, 60),
    "out, and slow at the probe": ([SLOW] * 4, OFF, 4, 10),
    "out, and back": ([DEAD, OK], ON, 0, None),
    "out, back, and slow once": ([DEAD, OK, SLOW], ON, 1, None),
    "a request that was wrong": ([OURS] * 9, ON, 0, None),
    "wrong requests do not make up for failures": ([SLOW, OURS, SLOW, OURS, SLOW], OFF, 3, 5),
    "not let in": ([LOCKED], WRONG, 1, 60),
    "let in again": ([LOCKED, OK], ON, 0, None),
    "asked for silence": ([LATER], LIMITED, 0, 7),
    "asked for silence without a time": ([BUSY], LIMITED, 0, 5),
    "asked for silence for ever": ([NEVER], LIMITED, 0, 3600),
    "asked for silence, then nothing listens": ([LATER, DEAD], OFF, 1, 5),
    "asked for silence, then not let in": ([LATER, LOCKED], WRONG, 1, 60),
    "nothing listens, then asks for silence": ([DEAD, LATER], LIMITED, 1, 7),
    "asked for silence, then well": ([LATER, OK], ON, 0, None),
}


@pytest.mark.parametrize(("outcomes", "state", "failures", "pause_s"), SEQUENCES.values(), ids=SEQUENCES.keys())
def test_a_server_is(outcomes: list[Fault | None], state: ServerState, failures: int, pause_s: float | None) -> None:
    health = through(outcomes)
    assert (health.state, health.failures) == (state, failures)
    assert health.retry_at == (None if pause_s is None else NOW + timedelta(seconds=pause_s))
    assert bool(health.reason) is (state is not ON)


@pytest.mark.parametrize("fault", [SLOW, DEAD])
def test_a_server_that_was_never_well_is_out_at_the_first_failure(fault: Fault) -> None:
    assert through([fault], UNKNOWN).state is OFF


@pytest.mark.parametrize(("dice", "seconds"), [(0.0, 4.0), (1.0, 6.0)])
def test_pauses_are_jittered_by_a_fifth(dice: float, seconds: float) -> None:
    health = after(DEAD, ON, 0, limit=3, pause_s=5.0, now=NOW, dice=lambda: dice)
    assert health.retry_at == NOW + timedelta(seconds=seconds)
