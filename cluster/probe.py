"""Look at servers: what dialect they speak, what they list, whether they are there at all. In parallel, one engine per server.

Closed system: a server that is well is looked at only to reconcile; one that is out, when its pause ends, by one probe. With the
monitor on, every server is looked at each health check interval.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from cluster.address import endpoint, timeouts
from cluster.health import fault, note
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import CapabilityMissing, PeerError
from cluster.lmstudio.values import Detected, Endpoint, Timeouts
from cluster.logic.lifecycle import ServerState
from cluster.models import ClusterPolicy, Server
from cluster.reconcile import reconcile
from swwbot_site.lib import clock
from swwbot_site.lib.loops import Rows


def due(owner: int, now: datetime) -> list[tuple[int, Endpoint, Timeouts]]:
    """Claim the servers that should be looked at now; each is looked at by one engine."""
    policy = ClusterPolicy.current()
    interval = policy.reconcile_interval_s
    if policy.monitor or settings.ENABLE_HEALTH_MONITOR:
        interval = min(interval, policy.health_check_interval_s)
    stale = Q(listed_at__isnull=True) | Q(listed_at__lt=now - timedelta(seconds=interval))
    wanted = Server.objects.filter(enabled=True).filter(
        Q(state=ServerState.UNKNOWN)
        | (Q(state=ServerState.ONLINE) & stale)
        | (~Q(state=ServerState.ONLINE) & (Q(retry_at__isnull=True) | Q(retry_at__lte=now)))
    )
    until = now + timedelta(seconds=policy.probe_timeout_s * 3)
    free = Q(probe_lease_until__isnull=True) | Q(probe_lease_until__lt=now)
    claimed = []
    for server in wanted.filter(free):
        if Server.objects.filter(free, pk=server.pk).update(probe_lease_owner=owner, probe_lease_until=until):
            known = endpoint(server)
            if server.state != ServerState.ONLINE and server.dialect == Server.Dialect.AUTO:
                known = Endpoint(url=server.url, token=server.token)  # it may come back as something else
            claimed.append((server.pk, known, timeouts(policy)))
    return claimed


async def probe(client: Client, rows: Rows, server_id: int, target: Endpoint, limits: Timeouts) -> None:
    """Look at one server and write what was seen."""
    asked = clock.now()
    try:
        detected = None if target.dialect else await client.detect(target, limits)
        if detected:
            target = Endpoint(url=target.url, token=target.token, dialect=detected.dialect.value)
        listed_at = clock.now()
        listing = await client.list(target, limits)
    except PeerError as error:
        await rows(unseen, server_id, error)
        return
    await rows(reconcile, server_id, listing, listed_at, clock.now())
    await rows(seen, server_id, detected, listing.jit, (clock.now() - asked).total_seconds() * 1000)


def seen(server_id: int, detected: Detected | None, jit: bool | None, latency_ms: float) -> None:
    """Record a successful look."""
    now = clock.now()
    with transaction.atomic():
        values = {"seen_at": now, "listed_at": now, "latency_ms": latency_ms, "probe_lease_until": None, "probe_lease_owner": None}
        if detected:
            values |= {"detected": detected.dialect.value, "version": f"{detected.product} {detected.version}".strip()}
        if jit is not None:
            values["jit"] = jit
        note(server_id, None, ClusterPolicy.current(), now)
        Server.objects.filter(pk=server_id).update(**values)


def unseen(server_id: int, error: PeerError) -> None:
    """Record a look that failed."""
    now = clock.now()
    with transaction.atomic():
        note(server_id, fault(error), ClusterPolicy.current(), now)
        values: dict[str, object] = {"probe_lease_until": None, "probe_lease_owner": None}
        if isinstance(error, CapabilityMissing):
            values["detected"] = ""
        Server.objects.filter(pk=server_id).update(**values)
        pause = now + timedelta(seconds=ClusterPolicy.current().breaker_pause_s)
        Server.objects.filter(pk=server_id, state=ServerState.UNKNOWN).update(state_reason=str(error))
        Server.objects.filter(pk=server_id, retry_at__isnull=True).exclude(state=ServerState.ONLINE).update(retry_at=pause)
