"""What lies ahead of a serving engine and has a time, so that nobody rings for it: deadlines, requests that rest, looks at servers.

While nothing happens this is asked again and again, so each answer is one way to the database. Rows only; nothing is written.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, Min, Q, QuerySet

from cluster.logic.lifecycle import GenerationState, ServerState
from cluster.models import ClusterPolicy, Generation, Server
from swwbot_site.lib.written import Rows, Written, together

ONLINE: Final = Q(state=ServerState.ONLINE)
UNSEEN: Final = (ONLINE & Q(listed_at__isnull=True)) | (~ONLINE & Q(retry_at__isnull=True))
"""Servers that are to be looked at at once."""

NONE: Final = (0,)
"""The key of no row, for an empty list: nothing is outside of NULL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Whether something is queued, and when the next thing is due."""

    waits: bool
    at: datetime | None


def _queued(now: datetime) -> QuerySet[Generation, Any]:
    rows = Generation.objects.filter(state=GenerationState.QUEUED).order_by().values_list("state")
    return rows.annotate(rested=Min("not_before", filter=Q(not_before__gt=now)), late=Min("deadline"))


def _servers(busy: list[int]) -> QuerySet[Server, Any]:
    rows = Server.objects.filter(enabled=True).exclude(pk__in=busy).order_by().values_list("enabled")
    return rows.annotate(new=Count("pk", filter=UNSEEN), stale=Min("listed_at", filter=ONLINE), retry=Min("retry_at", filter=~ONLINE))


QUEUED: Final = Written(_queued, now=datetime)
SERVERS: Final = Written(_servers, busy=list)
LATE: Final = Written(
    lambda now: Generation.objects.filter(deadline__lt=now, state=GenerationState.QUEUED).order_by().values_list("pk")[:1], now=datetime
)
POLICY: Final = Written(
    lambda: ClusterPolicy.objects.filter(pk=1).order_by().values_list("reconcile_interval_s", "monitor", "health_check_interval_s")
)


def interval(every_s: float, monitor: bool, check_s: float) -> float:
    """Seconds between two looks at a server that is well, by the columns of the policy."""
    return min(every_s, check_s) if monitor or settings.ENABLE_HEALTH_MONITOR else every_s


def soonest(now: datetime, busy: Collection[int] = ()) -> Ahead:
    """When something is due. The servers `busy` are being looked at by whoever asks."""
    queued, servers, policies = together(QUEUED.text(now=now), SERVERS.text(busy=busy or NONE), POLICY.text())
    moments = [moment for _, *times in queued for moment in times] + _looks(now, servers, policies)
    return Ahead(waits=bool(queued), at=min((moment for moment in moments if moment), default=None))


def overdue(now: datetime, busy: Collection[int] = ()) -> tuple[bool, bool]:
    """Whether a server is to be looked at now, and whether something waits past its deadline."""
    late, servers, policies = together(LATE.text(now=now), SERVERS.text(busy=busy or NONE), POLICY.text())
    return any(moment <= now for moment in _looks(now, servers, policies) if moment), bool(late)


def _looks(now: datetime, servers: Rows, policies: Rows) -> list[datetime | None]:
    """When servers are to be looked at."""
    every = timedelta(seconds=interval(*(policies[0] if policies else _usual())))
    moments: list[datetime | None] = []
    for _, new, stale, retry in servers:
        moments += [now if new else None, stale + every if stale else None, retry]
    return moments


def _usual() -> tuple[float, bool, float]:
    policy = ClusterPolicy.current()
    return policy.reconcile_interval_s, policy.monitor, policy.health_check_interval_s
