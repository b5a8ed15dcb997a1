"""Look at servers: what dialect they speak, what they list, whether they are there at all. In parallel, one engine per server.

Closed system: a server that is well is looked at only to reconcile; one that is out, when its pause ends, by one probe. With the
monitor on, every server is looked at each health check interval.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from cluster import ahead
from cluster.address import endpoint, timeouts
from cluster.health import fault, note
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import CapabilityMissing, PeerError
from cluster.lmstudio.values import Detected, Endpoint, Listing, Timeouts
from cluster.logic.lifecycle import ServerState
from cluster.models import ClusterPolicy, Server
from swwbot_site.lib import clock
from swwbot_site.lib.leases import gone, living


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a successful look showed. `listed_at` is the moment before the list was asked for."""

    detected: Detected | None
    listing: Listing
    listed_at: datetime
    latency_ms: float


def due(owner: int, now: datetime) -> list[tuple[int, Endpoint, Timeouts]]:
    """Claim the servers that should be looked at now; each is looked at by one engine."""
    policy = ClusterPolicy.current()
    every = ahead.interval(policy.reconcile_interval_s, policy.monitor, policy.health_check_interval_s)
    stale = Q(listed_at__isnull=True) | Q(listed_at__lt=now - timedelta(seconds=every))
    wanted = Server.objects.filter(enabled=True).filter(
        (Q(state=ServerState.ONLINE) & stale) | (~Q(state=ServerState.ONLINE) & (Q(retry_at__isnull=True) | Q(retry_at__lte=now)))
    )
    until = now + timedelta(seconds=policy.probe_timeout_s * 3)
    if not wanted.exists():
        return []
    free = Q(probe_lease_until__isnull=True) | Q(probe_lease_until__lt=now) | gone("probe_lease_owner", living())
    claimed = []
    for server in wanted.filter(free):
        if Server.objects.filter(free, pk=server.pk).update(probe_lease_owner=owner, probe_lease_until=until):
            known = endpoint(server)
            if server.state != ServerState.ONLINE and server.dialect == Server.Dialect.AUTO:
                known = Endpoint(url=server.url, token=server.token)  # it may come back as something else
            claimed.append((server.pk, known, timeouts(policy)))
    return claimed


async def probe(client: Client, target: Endpoint, limits: Timeouts) -> Look | PeerError:
    """Look at one server."""
    asked = clock.now()
    try:
        detected = None if target.dialect else await client.detect(target, limits)
        if detected:
            target = Endpoint(url=target.url, token=target.token, dialect=detected.dialect.value)
        listed_at = clock.now()
        listing = await client.list(target, limits)
    except PeerError as error:
        return error
    return Look(detected=detected, listing=listing, listed_at=listed_at, latency_ms=(clock.now() - asked).total_seconds() * 1000)


def seen(server_id: int, look: Look) -> None:
    """Record a successful look."""
    now = clock.now()
    with transaction.atomic():
        values = {"seen_at": now, "listed_at": now, "latency_ms": look.latency_ms, "probe_lease_until": None, "probe_lease_owner": None}
        if look.detected:
            version = f"{look.detected.product} {look.detected.version}".strip()
            values |= {"detected": look.detected.dialect.value, "version": version}
        if look.listing.jit is not None:
            values["jit"] = look.listing.jit
        note(server_id, None, ClusterPolicy.current(), now)
        Server.objects.filter(pk=server_id).update(**values)


def unseen(server_id: int, error: PeerError) -> None:
    """Record a look that failed."""
    now = clock.now()
    with transaction.atomic():
        told = fault(error)
        values: dict[str, object] = {"probe_lease_until": None, "probe_lease_owner": None, "listed_at": now}
        if isinstance(error, CapabilityMissing):
            stale = Server.objects.filter(pk=server_id, dialect=Server.Dialect.AUTO).exclude(detected="").exists()
            told = replace(told, misconfigured=not stale)  # it may have been updated: find out anew; but only once
            values |= {"detected": "", "listed_at": None if stale else now}
        note(server_id, told, ClusterPolicy.current(), now)
        Server.objects.filter(pk=server_id).update(**values)
        pause = now + timedelta(seconds=ClusterPolicy.current().breaker_pause_s)
        Server.objects.filter(pk=server_id, state=ServerState.UNKNOWN).update(state_reason=str(error))
        over = Q(retry_at__isnull=True) | Q(retry_at__lte=now)
        Server.objects.filter(over, pk=server_id).exclude(state=ServerState.ONLINE).update(retry_at=pause)
