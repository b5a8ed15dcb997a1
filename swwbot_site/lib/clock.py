"""The one place that asks what time it is; everything pure gets `now` as an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


def millis(moment: datetime) -> int:
    """Milliseconds since 1970, the feed's unit."""
    return int(moment.timestamp() * 1000)


def moment(millis: int) -> datetime:
    """The moment of a feed timestamp (ms since 1970). Raises ValueError beyond the year 9999."""
    try:
        return datetime.fromtimestamp(millis / 1000, UTC)
    except (OverflowError, OSError) as exc:
        raise ValueError(f"{millis} is no time in milliseconds since 1970") from exc
