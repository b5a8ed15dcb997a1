"""Posting rights of a feed: how many posts at once, and when the next one may go."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

BURST: Final = 10
"""Posts that a KV backend takes from one address before it wants silence."""

SILENCE: Final = timedelta(seconds=61)
"""Its counter clears only after 60 s without any post."""

AT_ONCE: Final = 8
"""Posts in flight to a backend that serialises them itself."""


def silent_until(posted: Sequence[datetime]) -> datetime | None:
    """When a backend that counts our posts may be posted to again, given the moments of our last posts, newest first; None: now."""
    for run, (later, earlier) in enumerate(zip(posted, (*posted[1:], None), strict=False), start=1):
        if run >= BURST:
            return posted[0] + SILENCE
        if earlier is None or later - earlier >= SILENCE:
            break
    return None
