"""Tolerant readers of single fields: the backends store most of them as any client sent them."""

import math
from datetime import UTC, datetime
from typing import Literal

from conversations.feed.values import Direction

_LATEST_MS = 253_402_300_799_000
"""The last second of the year 9999, beyond which no calendar goes."""


def scrub(text: str) -> str:
    """`text` without NUL, a lone half of a character replaced by U+FFFD (the KV backends cut texts in the middle of an emoji)."""
    return text.replace("\x00", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def text(value: object) -> str:
    """A string, also from a number; empty otherwise."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def number(value: object) -> float | None:
    """A finite number, also from a string; None otherwise. Whole numbers stay exact."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int):
        return value
    try:
        read = float(value)
    except ValueError:
        return None
    return read if math.isfinite(read) else None


def whole(value: object) -> int | None:
    """A whole number, fractions cut; None otherwise."""
    read = number(value)
    return None if read is None else int(read)


def nom(value: object) -> int | Literal["ALL"] | None:
    """How many messages to read: `ALL` or a positive number; None, the entity's own, for anything else."""
    if isinstance(value, str) and value.strip().upper() == "ALL":
        return "ALL"
    read = whole(value)
    return read if read is not None and read > 0 else None


def millis(value: object) -> int | None:
    """A timestamp in ms since 1970 from a number, a number in a string, or an ISO date; None if it is no time up to the year 9999."""
    read = number(value)
    if read is None and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        read = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    return int(read) if read is not None and 0 <= read <= _LATEST_MS else None


def priority(value: object, direction: Direction) -> int | None:
    """A priority across the edge: clamped to 0-99, turned round if the other side's most urgent is 99. Its own inverse."""
    read = number(value)
    if read is None:
        return None
    low = int(min(max(read, 0), 99))
    return low if direction == "low-first" else 99 - low
