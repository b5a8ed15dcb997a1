"""What a message backend can do to us.

::

    FeedError
    ├── Unreachable        never arrived: no connection, name or certificate
    ├── Dropped            cut, or too slow, before the answer was whole; nothing hangs on it
    ├── Ambiguous          a post or claim that may or may not have been kept: read back before doing it again
    ├── RateLimited        429; silent for `retry_after_s`
    ├── Unavailable        5xx, an error page, or 200 with an `error`
    ├── Malformed          an answer of no known shape
    ├── Rejected           400, or refused here before sending: the message itself is wrong
    ├── Conflict           somebody else claimed it first
    ├── NotFound           404: the backend has no such message
    ├── Misaddressed       404, 405 or a redirect: no backend at this address
    ├── Forbidden          401 or 403: an access rule in front of the backend
    ├── CapabilityMissing  this generation cannot do that
    └── Unrecognised       detection met a backend it does not know
"""

from typing import ClassVar

from conversations.feed.fields import scrub
from swwbot_site.lib.errors import BotError, Fault, Retry

BODY_LIMIT = 500
"""Characters of a peer's answer that an error keeps."""


class FeedError(BotError):
    """A message backend failed us. `status` is 0 without an answer; `body` is the beginning of the answer.

    Both texts are free of what Postgres cannot keep: they repeat what the backend said, and are written into rows.
    """

    code: ClassVar[str] = "feed.error"
    retry: ClassVar[Retry] = Retry.HERE

    def __init__(self, message: str, *, status: int = 0, body: str = "") -> None:
        super().__init__(scrub(message))
        self.status = status
        self.body = scrub(body[:BODY_LIMIT])


class Unreachable(FeedError):
    code = "feed.unreachable"


class Dropped(FeedError):
    code = "feed.dropped"


class Ambiguous(FeedError):
    """Settle it with `Client.visible` (a post) or a look at the queue (a claim); only then do it again."""

    code = "feed.ambiguous"


class RateLimited(FeedError):
    """Too many posts from this address. The backends count from the last post they accepted, so be silent for all of `retry_after_s`."""

    code = "feed.rate_limited"

    def __init__(self, message: str, *, retry_after_s: float, status: int = 429, body: str = "") -> None:
        super().__init__(message, status=status, body=body)
        self.retry_after_s = retry_after_s


class Unavailable(FeedError):
    code = "feed.unavailable"


class Malformed(FeedError):
    code = "feed.malformed"


class Rejected(FeedError):
    code = "feed.rejected"
    retry = Retry.NEVER
    fault = Fault.REQUEST


class Conflict(FeedError):
    """Normal life: there is nothing to mend, the message is in other hands."""

    code = "feed.conflict"
    retry = Retry.NEVER


class NotFound(FeedError):
    code = "feed.not_found"
    retry = Retry.NEVER


class Misaddressed(FeedError):
    code = "feed.misaddressed"
    fault = Fault.OPERATOR


class Forbidden(FeedError):
    code = "feed.forbidden"
    fault = Fault.OPERATOR


class CapabilityMissing(FeedError):
    code = "feed.capability_missing"
    retry = Retry.NEVER
    fault = Fault.OPERATOR


class Unrecognised(FeedError):
    code = "feed.unrecognised"
    retry = Retry.NEVER
    fault = Fault.OPERATOR
