"""When to do a thing again: the next poll, the next attempt to post, the next look whether a post is there."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

POLL_CEILING_S: Final = 60.0
ATTEMPTS: Final = 12
"""So often a post is attempted before a person has to look."""
BACKOFF_S: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
VISIBLE_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 35.0)
"""Looks for an accepted post, after each other; when all have failed it is posted again, unchanged."""
FIRST_LOOK: Final = timedelta(seconds=VISIBLE_S[0])


def next_poll(now: datetime, interval_s: float, failures: int, dice: Callable[[], float]) -> datetime:
    """The interval; after failures twice as long each time, at most a minute (or the interval), with jitter."""
    if failures == 0:
        return now + timedelta(seconds=interval_s)
    seconds = min(max(interval_s, 1.0) * 2 ** min(failures, 6), max(POLL_CEILING_S, interval_s))
    return now + timedelta(seconds=seconds * (0.8 + 0.4 * dice()))


def next_attempt(now: datetime, attempts: int, dice: Callable[[], float]) -> datetime | None:
    """When to post again after `attempts` failed; None: a dead letter."""
    if attempts >= ATTEMPTS:
        return None
    return now + timedelta(seconds=BACKOFF_S[min(attempts, len(BACKOFF_S)) - 1] * (0.8 + 0.4 * dice()))


def next_look(accepted: datetime, now: datetime, lost_after_s: float) -> datetime | None:
    """When to look again for a post that was accepted at `accepted` and is not there; None: post it again.

    A KV backend may show a post only after a minute; posting it again before would double it.
    """
    waited = 0.0
    for pause in VISIBLE_S:
        waited = min(waited + pause, lost_after_s)
        if accepted + timedelta(seconds=waited) > now:
            return accepted + timedelta(seconds=waited)
    return None
