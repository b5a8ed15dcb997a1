"""The root of the error tree and its branches that concern a whole server; the tree is drawn in `errors`, import from there."""

import re
from typing import ClassVar, Self

from swwbot_site.lib.errors import BotError, Fault, Retry

_SECRET = re.compile(r"(?i)\bsk-[\w\-:.*]+|(?<=token provided: )\S+|(?<=bearer )[\w\-:.*~+/=]{4,}")
_ODD = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")
_LIMIT = 400
BROKE_S = 3600.0
"""Seconds until an endpoint without credit is tried again."""


def redact(text: str, token: str = "") -> str:
    """`text` in one line, at most 400 characters, without anything that looks like a token or is this one, or that no row takes."""
    if token:
        text = text.replace(token, "[token]")
    text = _ODD.sub("\ufffd", " ".join(_SECRET.sub("[token]", text).split()))
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"


class PeerError(BotError):
    """A server failed us. `detail` is what it said, redacted; `where` its address; `status` its HTTP status if there was one.

    `started` says that a first token had been seen: what follows must not be replayed silently.
    """

    code: ClassVar[str] = "peer-error"
    retry: ClassVar[Retry] = Retry.ELSEWHERE
    fault: ClassVar[Fault] = Fault.PEER
    harms_server: ClassVar[bool] = False
    """Whether it counts against the server's breaker."""
    gone: ClassVar[bool] = False
    """Whether the instance we meant is not in memory (any more): ask the server's list before the next use."""
    advice: ClassVar[str] = ""

    def __init__(self, detail: str, *, where: str = "", status: int | None = None, started: bool = False) -> None:
        self.detail = redact(detail)
        super().__init__(self.detail)
        self.where = where
        self.status = status
        self.started = started

    def at(self, where: str, token: str = "") -> Self:
        """The same error, knowing its server."""
        self.where = where
        self.detail = redact(self.detail, token)
        self.args = (self.detail,)
        return self

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.detail}" if self.where else self.detail
        return f"{sentence.rstrip('.')}. {self.advice}" if self.advice else sentence


class Unreachable(PeerError):
    """Nothing was sent: refused, no route, unknown host name, connect time-out."""

    code = "unreachable"
    harms_server = True
    advice = "Is the server running and served on the local network?"


class Dropped(PeerError):
    """The connection ended where more had to come."""

    code = "dropped"
    harms_server = True


class Slow(PeerError):
    """A time limit passed; the subclass says which."""

    code = "slow"
    harms_server = True

    def __init__(self, detail: str, *, where: str = "", started: bool = False, limit_s: float = 0.0) -> None:
        super().__init__(detail, where=where, started=started)
        self.limit_s = limit_s


class ProbeTimeout(Slow):
    """A list, ping or unload took too long."""

    code = "probe-timeout"


class LoadTimeout(Slow):
    """A load was not answered in time and may still run: never repeat it, poll the list until `loaded` or `not-loaded`."""

    code = "load-timeout"
    harms_server = False
    advice = "The load may still run: look at the server's list before loading anything else there."


class FirstTokenTimeout(Slow):
    """No first token came in time."""

    code = "first-token-timeout"


class IdleTimeout(Slow):
    """The stream fell silent between two tokens."""

    code = "idle-timeout"


class TotalTimeout(Slow):
    """The whole answer took too long."""

    code = "total-timeout"
    harms_server = False


class CapabilityMissing(PeerError):
    """The server has no such endpoint: another dialect is due."""

    code = "capability-missing"
    fault = Fault.OPERATOR
    advice = "Detect the server's dialect again, or choose another one for it."


class Unable(CapabilityMissing):
    """The server's dialect has no words for something that the request asks for; another kind of server may have."""

    code = "unable"
    fault = Fault.REQUEST
    advice = "Leave that out, or ask for a model that another kind of server has."


class Misconfigured(PeerError):
    """Up, but it does not let us in, or its address is no address."""

    code = "misconfigured"
    fault = Fault.OPERATOR
    advice = "Check the server's address and API token."


class RateLimited(PeerError):
    """Too many requests. `retry_after_s` is what the server asked for, None when it named no time."""

    code = "rate-limited"

    def __init__(self, detail: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail, status=status)
        self.retry_after_s = retry_after_s


class Busy(RateLimited):
    """Its queue is full: nothing is wrong with it, and nothing more goes in just now."""

    code = "busy"


class OutOfCredit(RateLimited):
    """The account behind the endpoint has nothing left to spend; not asked again before `retry_after_s`, an hour if it says nothing."""

    code = "out-of-credit"
    fault = Fault.OPERATOR
    advice = "Top up the account, or give the server a budget per day that it can keep."

    def __init__(self, detail: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail, status=status, retry_after_s=max(retry_after_s or 0.0, BROKE_S))


class StillLoading(PeerError):
    """The server is up and its model is not yet."""

    code = "still-loading"
    retry = Retry.HERE


class Unavailable(PeerError):
    """The server cannot answer now."""

    code = "unavailable"
    harms_server = True


class Hiccup(Unavailable):
    """A bare HTML 500, seen as loads begin; usually gone at the next try."""

    code = "hiccup"
    retry = Retry.HERE


class NeedsRestart(PeerError):
    """The server's resource observer has stopped: it will load nothing until it is restarted."""

    code = "needs-restart"
    fault = Fault.OPERATOR
    harms_server = True
    advice = "Restart LM Studio on that machine."


class LinkLost(PeerError):
    """LM Link lost the machine that would have answered."""

    code = "link-lost"
    harms_server = True


class Malformed(PeerError):
    """A reply of no shape we know."""

    code = "malformed"
    harms_server = True


class Truncated(PeerError):
    """An answer ended without saying why."""

    code = "truncated"
    harms_server = True
