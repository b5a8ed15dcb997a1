"""What our own answers and the rules of a place make of the room around a message, whoever knows them: rows, or a replay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from conversations.logic.lifecycle import Mode, ReplyState
from conversations.logic.loopguard import Run
from conversations.logic.message import Line
from conversations.logic.scene import Room

RECENT: Final = 20
"""So many of the last answers in the conversation are looked at."""

LONG_AGO: Final = 1000
"""So many where the strategy wants to know who spoke when."""

BRIEF: Final = ("natural", "random", "weighted", "round-robin")
"""Strategies that need only the last answers."""

UNREAD: Final = timedelta(seconds=90)
"""A post that was confirmed so long before the last poll has been read, if it is in the feed at all."""

SILENCE_S: Final = 600.0

UNDERWAY: Final = (ReplyState.WAITING, ReplyState.READY, ReplyState.POSTING)
"""Answers that will be posted unless something goes wrong. A held one waits for a person, who may let bots talk as long as he likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One of our answers as it stands at a moment."""

    slug: str
    mode: str
    state: str
    decided_at: datetime
    ended_at: datetime | None = None
    outgoing_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """The rules of a place: those of its feed, and in their place what is set for its domain."""

    max_repliers: int = 3
    strategy: str = "natural"
    max_bot_run: int = 6
    bot_decay: float = 0.7
    silence_s: float = SILENCE_S
    members: frozenset[str] | None = None

    @property
    def looks_at(self) -> int:
        """How many of the last answers are looked at."""
        return RECENT if self.strategy in BRIEF else LONG_AGO


@dataclass(frozen=True, slots=True, kw_only=True)
class Bots:
    """For a bot's message: the run of bots that it is part of, whose it is, and how long ago a human wrote."""

    run: Run = field(default_factory=Run)
    authors: frozenset[str] = frozenset()
    human_s: float | None = None
    require_human_s: int = 0


def room(
    now: datetime,
    manners: Manners,
    recent: Sequence[Answer],
    *,
    last: frozenset[str],
    engaged: frozenset[str],
    opened: tuple[bool, str],
    bots: Bots | None = None,
) -> Room:
    """The room; `recent` are the last living answers of the conversation, the latest first."""
    among = bots or Bots()
    return Room(
        now=now,
        members=manners.members,
        max_repliers=manners.max_repliers,
        strategy=manners.strategy,
        silence_s=manners.silence_s,
        spoken=tuple((one.slug, max(0.0, (now - one.decided_at).total_seconds())) for one in recent),
        last=last,
        engaged=engaged,
        open=opened[0],
        why_closed=opened[1],
        run=among.run,
        authors=among.authors,
        human_s=among.human_s,
        require_human_s=among.require_human_s,
    )


def last(recent: Sequence[Answer], before: Sequence[Line], polled_at: datetime | None) -> frozenset[str]:
    """Whose post is the last line, and whose are on their way."""
    line = before[-1] if before else None
    spoke = {one.slug for one in recent if line is not None and line.own and one.outgoing_id == line.remote_id}
    return frozenset(spoke | {one.slug for one in recent if _coming(one, polled_at)})


def _coming(one: Answer, polled_at: datetime | None) -> bool:
    """Whether an answer will be read after the message: it is not posted, or nobody has polled since."""
    if one.state == ReplyState.POSTED:
        return bool(polled_at and one.ended_at and one.ended_at > polled_at)
    return one.state in UNDERWAY


def engaged(recent: Sequence[Answer], arrived: datetime) -> frozenset[str]:
    """Who answers by chance a message that was decided while another one, which arrived then, waited already."""
    return frozenset(one.slug for one in recent if one.mode == Mode.AMBIENT and one.decided_at >= arrived)


def opened(params: Mapping[str, Any], *, queue: bool, owed: bool, dry: bool) -> tuple[bool, str]:
    """Whether a directed message still waits for an answer and is ours, and why not. Only an explicit word of the feed opens it.

    `queue`: the feed has a queue of its own; `owed`: we have claimed the message there; `dry`: nothing is taken from it.
    """
    if queue:
        if owed or (dry and params.get("status") == "pending"):
            return True, ""
        claimed = params.get("claimed_by")
        return False, f"claimed by {claimed}" if claimed else f"its state in the queue is {params.get('status') or 'unknown'}"
    if params.get("processed") is False:
        return True, ""
    return False, "it is marked as processed" if params.get("processed") else "it is not marked as unprocessed"
