"""Rows of a certain age, and rounds that end."""

from datetime import datetime, timedelta
from typing import Any

from conversations.models import Feed, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.models import Reckoning
from swwbot_site.retention import rounds
from swwbot_site.retention.row import Retention
from tests import build


def ago(days: float = 100) -> datetime:
    return clock.now() - timedelta(days=days)


def feed(**over: Any) -> Feed:
    """A feed that was polled just now."""
    return build.feed(**{"cursor": clock.millis(clock.now())} | over)


def message(days: float = 100, **over: Any) -> Message:
    """A message of so many days ago that was judged then."""
    at = ago(days)
    values = {
        "timestamp": clock.millis(at),
        "received_at": at,
        "born_at": at,
        "decided_at": at,
        "verdict": {"why": "nobody", "no": {"a": "b"}},
    }
    return build.message(**values | ({} if "feed" in over else {"feed": Feed.objects.first() or feed()}) | over)


def reply(days: float = 100, **over: Any) -> Reply:
    """An answer to it that was posted then."""
    at = ago(days)
    values = {"state": "posted", "decided_at": at, "deadline": at, "ended_at": at}
    return build.reply(**values | ({} if "message" in over else {"message": message(days)}) | over)


def counted() -> None:
    """Everything is in the tallies."""
    newest = Message.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    Reckoning.objects.update_or_create(pk=1, defaults={"until": clock.now(), "message": newest})


def policy(**over: Any) -> Retention:
    return Retention.objects.update_or_create(pk=1, defaults=over)[0]


def whole(size: int = 500, **over: Any) -> dict[str, int]:
    """A round from its beginning to its end; what went."""
    counted()
    policy(kind="", due_at=None, **over)
    for _ in range(10_000):
        rounds.advance(clock.now(), size)
        row = Retention.objects.get()
        if not row.kind:
            return dict(row.counts)
        Retention.objects.update(due_at=None)
    raise AssertionError("the round does not end")
