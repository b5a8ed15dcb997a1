"""What a listening engine has to do, and when a feed is to be polled: one way to the database while nothing happens. Rows only."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from django.db.models import Min, Q, QuerySet

from conversations.models import Feed, Message
from conversations.queued import in_line
from swwbot_site.lib.written import Written, together

AGAIN: Final = timedelta(seconds=3)
"""How often a decision that could not be made is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """Whether there are messages that are not decided and replies that stand in line; and when a poll is due, or a decision tried again."""

    messages: bool
    line: bool
    at: datetime | None

    @classmethod
    def of(cls, owner: int, now: datetime, polled: Collection[int]) -> Self:
        """What there is for the engine `owner`, which is polling these feeds."""
        new, line, feeds = together(NEW.text(), LINE.text(), FEEDS.text(now=now, owner=owner, polled=polled or (0,)))
        moments = (feeds[0][1] if feeds else None, now + AGAIN if new else None)
        return cls(messages=bool(new), line=bool(line), at=min((moment for moment in moments if moment), default=None))


def _feeds(now: datetime, owner: int, polled: list[int]) -> QuerySet[Feed, Any]:
    """One that came due counts as well, unless another engine polls it."""
    ours = Q(poll_at__gt=now) | Q(lease_owner=owner) | Q(lease_owner__isnull=True)
    return Feed.objects.filter(ours, enabled=True).exclude(pk__in=polled).order_by().values_list("enabled").annotate(at=Min("poll_at"))


DUE: Final = Written(
    lambda now: Feed.objects.filter(enabled=True).filter(Q(poll_at__isnull=True) | Q(poll_at__lte=now)).order_by().values_list("pk")[:1],
    now=datetime,
)
NEW: Final = Written(lambda: Message.objects.filter(decided_at__isnull=True, feed__enabled=True).order_by().values_list("pk")[:1])
LINE: Final = Written(lambda: in_line().order_by().values_list("pk")[:1])
FEEDS: Final = Written(_feeds, now=datetime, owner=int, polled=list)


def due(now: datetime) -> bool:
    """Whether any feed is to be polled."""
    return bool(DUE.rows(now=now))
