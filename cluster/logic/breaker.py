"""The breaker of one placement, and how many seats are open behind it. Moments and durations are float seconds on one clock.

::

    closed       `limit` failures in a row that are its own                → it rests until `rest_until`
    resting      no seat                                                   → at `rest_until` it is half-open
    half-open    one seat, for whoever moves `rest_until` first            → success closes it, a failure makes it rest longer
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

STEPS: Final = (1, 2, 4, 8, 12)
"""The rests of what keeps failing, as multiples of the first one."""

CEILING_S: Final = 60.0

MOST: Final = 9_999
"""Failures in a row are counted up to here."""

CRASH_S: Final = 600.0
"""How long a model that crashed answers one request at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One placement's failures in a row, and until when it rests; `tripped`: the outcome just told made it rest."""

    failures: int = 0
    rest_until: float | None = None
    tripped: bool = False


def after(before: Breaker, failed: bool, *, trial: bool, limit: int, first_s: float, now: float, dice: Callable[[], float]) -> Breaker:
    """The breaker after an outcome: an answer, or a failure that is the placement's own. `trial`: of the one let in half-open.

    What was in flight when the rest began and fails during it changes nothing.
    """
    if not failed:
        return Breaker()
    if before.rest_until is not None and before.rest_until > now and not trial:
        return Breaker(failures=before.failures, rest_until=before.rest_until)
    count = min(before.failures + 1, MOST)
    if count < limit and before.rest_until is None:
        return Breaker(failures=count)
    return Breaker(failures=count, rest_until=now + rest_s(count - limit, first_s=first_s, dice=dice), tripped=True)


def rest_s(turn: int, *, first_s: float, dice: Callable[[], float]) -> float:
    """How long the rest number `turn` (from 0) takes: growing steps of `first_s` up to a minute, a fifth more or less by `dice` (0 … 1)."""
    return min(first_s * STEPS[min(max(turn, 0), len(STEPS) - 1)], CEILING_S) * (0.8 + 0.4 * dice())


def open_slots(slots: int, failures: int, rest_until: float | None, now: float, in_flight: int) -> int:
    """How many seats a placement may have taken in all, those `in_flight` included: none while it rests, one when it is half-open.

    What is still in flight from before the rest is the trial: while it runs, nobody else is let in.
    """
    if rest_until is None or failures == 0:
        return slots
    if rest_until > now or in_flight:
        return 0
    return min(slots, 1)


def ramp(slots: int, returned_at: float | None, now: float, return_s: float) -> int:
    """How many of its seats a server gives that came back at `returned_at`: at least one, all of them after `return_s`."""
    if returned_at is None or return_s <= 0 or now >= returned_at + return_s:
        return slots
    share = max(0.0, now - returned_at) / return_s
    return min(slots, max(1, int(slots * share)))


def crashed(slots: int, crashed_at: float | None, now: float) -> int:
    """How many seats are open where the model crashed at `crashed_at`: one for ten minutes."""
    return slots if crashed_at is None or now >= crashed_at + CRASH_S else min(slots, 1)
