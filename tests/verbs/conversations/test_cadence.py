"""When the listening loop looks again: for every feed that nobody polls at this moment."""

from datetime import timedelta

import pytest

from conversations.cycle import Listen
from swwbot_site.lib import clock
from swwbot_site.lib.leases import taken
from tests import build

OURS, THEIRS = 7, 8

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("owner", "late", "polled", "counts"),
    [
        (OURS, False, False, True),
        (OURS, True, False, True),
        (None, True, False, True),
        (THEIRS, True, False, False),
        (OURS, True, True, False),
    ],
    ids=["later", "due since the turn began", "nobody's", "of another engine", "being polled"],
)
def test_a_feed_is_looked_at_when_it_is_due(owner: int | None, late: bool, polled: bool, counts: bool) -> None:
    now = clock.now()
    at = now + timedelta(seconds=-0.1 if late else 60)
    feed = build.feed(poll_at=at, **(taken(owner, now) if owner else {}))
    listen = Listen()
    if polled:
        listen._polls[feed.pk] = None  # type: ignore[assignment]
    assert listen._work(OURS) == (at if counts else None)
