"""A recorded stretch of a feed: what was said, what we answered, and what else our limits counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from conversations.logic.lifecycle import Mode, ReplyState
from conversations.logic.message import Line
from conversations.logic.staging import Manners


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The feed: its address, which the dice are seeded by, and its rules. `rooms` are those of domains that have rules of their own."""

    name: str = "replay"
    url: str = "http://replay.invalid/api"
    domain: str = "saywhatwant.app"
    window_gap_s: float = 3600.0
    max_text: int = 240
    require_human_s: int = 0
    manners: Manners = field(default_factory=Manners)
    rooms: Mapping[str, Manners] = field(default_factory=dict)

    def at(self, domain: str) -> Manners:
        """The rules that hold for a domain."""
        return self.rooms.get(domain, self.manners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message as it came. `decided` is None if nobody had decided about it yet; whatever is not `judged` only surrounds the others."""

    line: Line
    arrived: datetime
    decided: datetime | None = None
    judged: bool = True
    opened: tuple[bool, str] = (True, "")
    why: str = ""
    """What the verdict said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer that was decided. `message` is the remote id of what it answers, `settled` when its permit was spent or refunded."""

    message: str
    conversation: str
    slug: str
    mode: str
    state: str
    decided: datetime
    reserved: datetime | None = None
    settled: datetime | None = None
    spent: bool = False
    ready: datetime | None = None
    approved: datetime | None = None
    """When a person let it go, if it was held."""
    accepted: datetime | None = None
    ended: datetime | None = None
    outgoing_id: str = ""
    username: str = ""
    text: str = ""
    reason: str = ""
    chance: float | None = None
    dice: float | None = None

    @property
    def replayed(self) -> bool:
        """Whether a verdict decided about it; voices of an ensemble were asked otherwise."""
        return self.mode in (Mode.DIRECTED, Mode.AMBIENT)

    @property
    def posted(self) -> bool:
        """Whether it reached the feed."""
        return self.state in (ReplyState.POSTING, ReplyState.POSTED) and self.accepted is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """A permit of something that is not replayed: an older answer, one in another feed, a voice. `here`: in this feed."""

    slug: str
    reserved: datetime
    settled: datetime | None = None
    spent: bool = False
    here: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The whole stretch, in the order in which it came."""

    house: House
    heard: tuple[Heard, ...]
    given: tuple[Given, ...] = ()
    others: tuple[Other, ...] = ()
