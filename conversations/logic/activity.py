"""How lively a conversation is: messages a minute, silence, who takes part."""

from collections.abc import Iterable, Sequence
from typing import Final

from conversations.logic.message import Line

SPAN_MS: Final = 300_000
"""How far back liveliness looks."""

SHORTEST_MS: Final = 60_000
"""A conversation that has just begun counts as if it were a minute old."""

MOST: Final = 20
"""Participants that are named."""


def at(line: Line) -> int:
    """When a line appeared, ms since 1970: by our clock if we know it, for its author's may be off."""
    return int(line.born.timestamp() * 1000) if line.born else line.timestamp


def activity(moments: Sequence[int], present: int, *, whole: bool) -> float:
    """Messages a minute at the moment `present` (ms), the message of that moment included.

    `moments` are those of the messages before it, any order; what lies in the future counts as present. Counted are the last five
    minutes, or as much of them as is known: `whole` says that `moments` go back to the beginning of the conversation, which then
    counts as at least a minute; otherwise there was more before the earliest, and the rate is that of the known stretch.
    """
    recent = [min(moment, present) for moment in moments if moment > present - SPAN_MS]
    if len(recent) < len(moments):
        span = SPAN_MS
    elif whole or not recent:
        span = max(SHORTEST_MS, present - min(recent, default=present))
    else:
        span = max(1000, present - min(recent))
    return round((len(recent) + 1) * 60_000 / span, 3)


def silence(moments: Iterable[int], present: int) -> float | None:
    """Seconds since the message before; 0 if that claims to be from the future, None if there was none."""
    latest = max(moments, default=None)
    return None if latest is None else round(max(0, present - latest) / 1000, 3)


def participants(lines: Sequence[Line]) -> tuple[str, ...]:
    """Who spoke, each once, the latest first."""
    found: dict[str, None] = {}
    for line in reversed(lines):
        if line.username:
            found.setdefault(line.username, None)
            if len(found) == MOST:
                break
    return tuple(found)
