"""Posting rights: how many posts at once, when a backend may be posted to again, and when an answer is too late to be posted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

BURST: Final = 10
"""Posts that a KV backend takes from one address before it wants silence."""

SILENCE: Final = timedelta(seconds=61)
"""Its counter clears only after 60 s without any post."""

AT_ONCE: Final = 8
"""Posts in flight to a backend that serialises them itself."""

LATE: Final = timedelta(minutes=10)
"""So long after its deadline an answer that is written may still be posted; then nobody would know what it answers."""

GRANTED: Final = timedelta(minutes=5)
"""So much time an answer has that a person approves or wants again, however late it is: whether it still makes sense, he has seen."""


def too_late(now: datetime) -> datetime:
    """The deadline before which an answer is not posted any more."""
    return now - LATE


def site(url: str) -> str:
    """What tells one backend from another, and counts our posts: host and port of a feed's address."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{(parts.hostname or '').lower()}{port}"


def silent_until(posted: Sequence[datetime]) -> datetime | None:
    """When a backend that counts our posts may be posted to again, given the moments of our last posts, newest first; None: now."""
    for run, (later, earlier) in enumerate(zip(posted, (*posted[1:], None), strict=False), start=1):
        if run >= BURST:
            return posted[0] + SILENCE
        if earlier is None or later - earlier >= SILENCE:
            break
    return None
