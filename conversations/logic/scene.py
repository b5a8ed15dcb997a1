"""A message, what came before it, and what is known of the conversation: all that its verdict depends on besides the cast."""

from dataclasses import dataclass, field
from datetime import datetime

from conversations.logic.loopguard import Run
from conversations.logic.message import Line
from conversations.logic.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is known of the conversation around a message. Entities are named by id (slug)."""

    now: datetime
    members: frozenset[str] | None = None
    """Who may speak here; None: everybody."""
    max_repliers: int = 3
    strategy: str = "natural"
    silence_s: float = 600.0
    """After so long without a message the next one is answered more readily."""
    run: Run = field(default_factory=Run)
    """Of bots among themselves; of no interest to a human's message."""
    authors: frozenset[str] = frozenset()
    """For a bot's message: whose post it is, or who has posted under that name."""
    human_s: float | None = None
    """Seconds since a human last wrote here; None: not that we know."""
    require_human_s: int = 0
    """By chance only while a human has written within so many seconds; 0: always."""
    spoken: tuple[tuple[str, float], ...] = ()
    """Who of ours spoke here, or is about to, and how many seconds ago that was decided; the latest first."""
    last: frozenset[str] = frozenset()
    """Whose post is the line before the message, or will be."""
    engaged: frozenset[str] = frozenset()
    """Who answers by chance a message that waited together with this one."""
    open: bool = True
    """Whether a message with `botParams.entity` is still to be answered, and by us."""
    why_closed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A message, the lines of its conversation before it (oldest first), the room, and what the analysis found."""

    message: Line
    window: tuple[Line, ...]
    room: Room
    signals: Signals = field(default_factory=Signals)
