"""The one place that asks what time it is; everything pure gets `now` as an argument.

Machines' clocks differ, and leases are moments that machines compare. So an engine goes by the database's clock, which all share.
"""

from datetime import UTC, datetime, timedelta

_offset = timedelta()


def now() -> datetime:
    """The present moment, aware, UTC; by the clock that `follow` was last given."""
    return datetime.now(UTC) + _offset


def follow(theirs: datetime) -> timedelta:
    """From now on go by a clock that shows `theirs` at this moment. Returns how far it is ahead of this machine's."""
    global _offset  # noqa: PLW0603 - a process has one clock
    _offset = theirs - datetime.now(UTC)
    return _offset


def millis(moment: datetime) -> int:
    """Milliseconds since 1970, the feed's unit."""
    return int(moment.timestamp() * 1000)


def moment(millis: int) -> datetime:
    """The moment of a feed timestamp (ms since 1970). Raises ValueError beyond the year 9999."""
    try:
        return datetime.fromtimestamp(millis / 1000, UTC)
    except (OverflowError, OSError) as exc:
        raise ValueError(f"{millis} is no time in milliseconds since 1970") from exc
