"""What polling a feed needs to know, and what it brings."""

from collections.abc import Sequence
from dataclasses import dataclass

from conversations.feed.values import Endpoint, FeedMessage, Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A feed to poll. `after` is ms, None at the first contact; `known` are the entity ids we may claim messages for."""

    feed_id: int
    name: str
    url: str
    generation: str
    endpoint: Endpoint | None
    after: int | None
    worker: str
    claim: bool
    pending: frozenset[str]
    """Messages that we know and that wait in the feed's queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul:
    """What a poll brought. `claimed` are messages of the feed's queue that are ours now; `doubtful`: a claim whose answer was lost."""

    target: Target
    generation: str
    page: Page
    claimed: Sequence[FeedMessage] = ()
    doubtful: bool = False
