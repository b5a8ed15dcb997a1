"""What is said to and by a message backend, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

AUTO = "auto"
"""What a setting says when the generation shall be detected; never a `Generation`, so nobody can forget to."""

NAME_LIMIT = 16
"""UTF-16 units of a username: the backends up to the last KV cut there without a word."""

TEXT_LIMIT = 240
"""UTF-16 units the newest page shows of a text."""

TEXT_MAXIMUM = 1000
"""UTF-16 units of a text: the backends up to the last KV cut there without a word."""

DOMAIN = "saywhatwant.app"
"""The `domain` of the bot's posts; the backends from October on count no rate limit for it."""

Kind = Literal["human", "AI"]
Direction = Literal["low-first", "high-first"]


class Generation(StrEnum):
    """The backends that are spoken to, oldest first."""

    KV = "kv"
    """September: one shared list of recent messages."""
    KV_PATCH = "kv-patch"
    """October: as before, `processed` can be marked."""
    KV_QUEUE = "kv-queue"
    """The last KV: with a queue of messages directed at an entity."""
    DO = "do"
    """The newest Durable Object: serialised, idempotent by id, with `claim-next`."""

    @property
    def traits(self) -> "Traits":
        """What this generation can and keeps."""
        return _TRAITS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a generation can and keeps."""

    keeps_context: bool
    """`context`, `replyTo` and `botParams` come back from a GET."""
    idempotent: bool
    """Posting the same id again stores nothing."""
    serial: bool
    """Concurrent posts are all kept; where not, posts are read back."""
    queue: bool
    """`pending`, `claim`, `complete`."""
    next: bool
    """`claim_next`."""
    fail: bool
    """`fail`."""
    mark: bool
    """`mark_processed`."""


_TRAITS: Mapping[Generation, Traits] = {
    Generation.KV: Traits(keeps_context=False, idempotent=False, serial=False, queue=False, next=False, fail=False, mark=False),
    Generation.KV_PATCH: Traits(keeps_context=True, idempotent=False, serial=False, queue=False, next=False, fail=False, mark=True),
    Generation.KV_QUEUE: Traits(keeps_context=True, idempotent=False, serial=False, queue=True, next=False, fail=True, mark=True),
    Generation.DO: Traits(keeps_context=True, idempotent=True, serial=True, queue=True, next=True, fail=False, mark=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a backend is and how it is to be read.

    `url` is the API's base, such as `https://host/api`; a trailing slash or `/comments` is ignored.
    `priority_direction` says which number its people mean by "most urgent": `low-first` (0) or `high-first` (99). Inside, 0 is
    always first, so `high-first` turns the number round (99 - n) in what is read and in what is posted. The order in which a
    queue hands out its messages is the backend's own and cannot be asked to change.
    `text_limit` is in UTF-16 units, at most 1000. `origin` is sent as the `Origin` header of posts when it is set: the September
    backend counts no rate limit for its bot's own host.
    Raises ValueError if `url` is no http(s) address or `text_limit` is impossible.
    """

    url: str
    generation: Generation
    priority_direction: Direction = "low-first"
    text_limit: int = TEXT_LIMIT
    origin: str = ""

    def __post_init__(self) -> None:
        base(self.url)
        if not 1 <= self.text_limit <= TEXT_MAXIMUM:
            raise ValueError(f"text_limit is {self.text_limit}; the backends keep 1 to {TEXT_MAXIMUM} characters of a text")

    @property
    def base(self) -> str:
        """The API's base without a trailing slash."""
        return base(self.url)


def base(url: str) -> str:
    """`url` without a trailing slash or `/comments`. Raises ValueError if it is no http(s) address."""
    try:
        parts = urlsplit(url.strip())
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as exc:
        raise ValueError(f"{url!r} is no address of a message backend ({exc}); give its base, such as https://host/api") from exc
    if not sound or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is no address of a message backend; give its base, such as https://host/api")
    path = parts.path.rstrip("/").removesuffix("/comments").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def place(url: str) -> str:
    """`url` without a user and password, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BotParams:
    """What a message says to bots, and where it stands in the backend's queue. Absent or senseless values are empty or None."""

    entity: str = ""
    """The entity id the message is directed at."""
    priority: int | None = None
    """0 to 99, 0 is most urgent, whatever the backend's direction."""
    model: str = ""
    nom: int | Literal["ALL"] | None = None
    """How many messages of context to read."""
    ais: str = ""
    """The identity to answer under, `username:colour` or `username:random`; see `identity.ais`."""
    processed: bool | None = None
    session_id: str = ""
    status: str = ""
    """`pending`, `processing`, `complete`, `failed`."""
    claimed_by: str = ""
    claimed_at: int | None = None
    """Milliseconds since 1970."""
    completed_at: int | None = None
    """Milliseconds since 1970."""
    attempts: int | None = None
    human_username: str = ""
    human_color: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMessage:
    """One message of the chat."""

    id: str
    raw_id: str | int
    """The id as the backend wrote it; its queue compares strictly, so claims must give this one."""
    text: str
    username: str
    color: str
    """The inside form of `identity.color`: `RRRGGGBBB` or `RRRGGGBBB-suffix`; anything else as it came."""
    domain: str
    kind: Kind
    timestamp: int
    """Milliseconds since 1970."""
    context: tuple[str, ...] | None
    """The lines the human sees: None if the message brings none, empty if it brings an empty list."""
    reply_to: str
    bot_params: BotParams | None
    raw: Mapping[str, object] = field(repr=False)
    """The message as the backend wrote it, without what Postgres cannot keep (NUL, halves of a character)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """An item of a backend's list that is no message. `id` is its id, or a digest of it: log each once."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Messages sorted by (timestamp, id), each id once. `complete` is False if there may be more in the range than could be read."""

    messages: tuple[FeedMessage, ...]
    complete: bool = True
    requests: int = 1
    rejected: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to post. Keep `id` and `timestamp` (ms) unchanged whenever it is posted again.

    `color` is the inside form; `bot_params` are wire names (`entity`, `ais`, …) with `priority` 0 first.
    """

    id: str
    timestamp: int
    text: str
    username: str
    color: str
    domain: str = DOMAIN
    reply_to: str = ""
    bot_params: Mapping[str, object] | None = None
    context: tuple[str, ...] | None = None
    kind: Kind = "AI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The backend has the message. `duplicate`: it had it before."""

    id: str
    duplicate: bool
    timestamp: int
    """Milliseconds since 1970, as the backend keeps it."""
