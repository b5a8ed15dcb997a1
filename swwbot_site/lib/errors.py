"""The root of every error tree in the project.

::

    BotError
    ├── cluster.lmstudio.errors.PeerError       what an LM Studio server did to us
    ├── conversations.feed.errors.FeedError     what a message backend did to us
    └── swwbot_site.config.document.DocumentError   what a configuration file says wrongly

Each error answers three questions without being parsed: may it be tried again and where (`retry`), whose fault is it
(`fault`), and by which stable name do rows, logs and pages know it (`code`).
"""

from enum import StrEnum
from typing import ClassVar


class Retry(StrEnum):
    """Where the same request may be tried again."""

    HERE = "here"
    """The same peer, after a pause."""
    ELSEWHERE = "elsewhere"
    """Another peer; this one again only when there is no other."""
    NEVER = "never"
    """The request itself is wrong: every peer would refuse it."""


class Fault(StrEnum):
    """Who has to mend it."""

    PEER = "peer"
    REQUEST = "request"
    OPERATOR = "operator"


class BotError(Exception):
    """An error with a stable code; `str(error)` says what is wrong, where, and what to do."""

    code: ClassVar[str] = "error"
    retry: ClassVar[Retry] = Retry.NEVER
    fault: ClassVar[Fault] = Fault.PEER
