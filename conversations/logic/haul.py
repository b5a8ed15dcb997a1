"""What polling a feed needs to know, and what it brings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from conversations.feed.values import Endpoint, FeedMessage, Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A feed to poll. `after` is ms, None as long as no message was seen; `dry` leaves its queue to others."""

    feed_id: int
    name: str
    url: str
    generation: str
    endpoint: Endpoint | None
    after: int | None
    worker: str
    claim: bool
    dry: bool = False
    pending: frozenset[str]
    """Messages that we know and that wait in the feed's queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul:
    """What a poll brought. `claimed` are messages of the feed's queue that are ours now; `more`: there may be more in it.

    `trouble` says why its queue could not be used although the chat could be read.
    """

    target: Target
    asked_at: datetime
    generation: str
    page: Page
    claimed: Sequence[FeedMessage] = ()
    more: bool = False
    trouble: str = ""
