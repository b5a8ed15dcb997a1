"""Times and texts as people read them."""

from datetime import datetime, timedelta


def ago(then: datetime | None, now: datetime) -> str:
    """How long `then` is ago or ahead: "12 s ago", "in 3 min", "now" for less than a second, "–" for never."""
    if then is None:
        return "–"
    if abs(now - then) < timedelta(seconds=1):
        return "now"
    text = span(abs(now - then))
    return f"{text} ago" if then <= now else f"in {text}"


def span(length: timedelta | float | None) -> str:
    """A length of time (seconds, if a number) in its largest fitting unit: "0.4 s", "12 s", "3 min", "5 h", "2 d"."""
    if length is None:
        return "–"
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    for limit, size, unit in ((9.95, 1, "s"), (120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds:.1f} {unit}" if limit < 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def short(text: str, length: int = 80) -> str:
    """`text` on one line, cut with an ellipsis; "–" for none."""
    flat = " ".join(text.split())
    return (flat if len(flat) <= length else flat[: length - 1] + "…") or "–"
