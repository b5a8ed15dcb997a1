"""What an answer to a delivery means, and when to try again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

PAUSES_S: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0, 36000.0)
"""Seconds before the second, third … attempt; after the last one it is given up: that is about a day."""

JITTER: Final = 0.2
"""A pause is up to so much shorter or longer, so that many do not come back at one moment."""

GONE: Final = 410


class DeliveryState(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


MOVES: Final = {
    DeliveryState.WAITING: frozenset({DeliveryState.DELIVERED, DeliveryState.FAILED}),
    DeliveryState.FAILED: frozenset({DeliveryState.WAITING}),
    DeliveryState.DELIVERED: frozenset({DeliveryState.WAITING}),
}
"""A person may want either end again."""


def taken(status: int | None) -> bool:
    """Whether a receiver has taken it: it answered 200 … 299."""
    return status is not None and 200 <= status < 300


def again_at(attempts: int, status: int | None, now: datetime, dice: Callable[[], float]) -> datetime | None:
    """When to try again after the `attempts`-th attempt (1 …) was not taken; None: never. `dice` gives 0 … 1."""
    if status == GONE or attempts > len(PAUSES_S):
        return None
    return now + timedelta(seconds=PAUSES_S[attempts - 1] * (1 - JITTER + 2 * JITTER * dice()))


def wanted(kind: str, kinds: list[str]) -> bool:
    """Whether an event of this kind is among the `kinds` that a webhook names, whole or by their beginning ("reply."); none named: all.

    What is said of webhooks themselves is never told to one: a failure would make the next.
    """
    if kind.startswith("webhook."):
        return False
    return not kinds or any(kind == one or (one.endswith(".") and kind.startswith(one)) for one in kinds)
