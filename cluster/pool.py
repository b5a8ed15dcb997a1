"""Make servers of what pool managers hand out, and let those go that they hand out no longer.

A server of a pool is told by its `pool`; what people have entered is never touched. One that is missing gets nothing new, finishes
what it has, and is disabled then; handed out again, it joins again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q

from cluster.models import ClusterPolicy, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.addresses import tidy
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import PoolEndpoint, manager
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel, wake

log = structlog.get_logger(__name__)

EVERY_S: Final = 15.0
"""Between two questions to the pools."""

NEVER_S: Final = 300.0
"""Between two looks whether there is a pool by now."""


def ask(now: datetime) -> list[PoolEndpoint] | None:
    """What the pools hand out now; None if there is no pool, or if another engine has just asked. Raises what a pool raises."""
    if not manager.hook.pool_endpoints.get_hookimpls():
        return None
    stale = Q(pooled_at__isnull=True) | Q(pooled_at__lt=now - timedelta(seconds=EVERY_S - 1))
    if not ClusterPolicy.objects.filter(stale, pk=ClusterPolicy.current().pk).update(pooled_at=now):
        return None
    return [endpoint for group in manager.hook.pool_endpoints() for endpoint in group]


def settle(endpoints: Sequence[PoolEndpoint], now: datetime) -> int:
    """Bring the servers of pools to what was handed out. Returns how many changed."""
    wanted = {endpoint.name: endpoint for endpoint in endpoints}
    changed = 0
    with transaction.atomic():
        rows = {row.name: row for row in Server.objects.select_for_update(no_key=True).order_by("pk") if row.pool or row.name in wanted}
        for name in sorted(wanted):
            changed += _join(wanted[name], rows.get(name))
        for row in rows.values():
            if row.pool and row.name not in wanted:
                changed += _leave(row, now)
        if changed:
            wake(Channel.PLAN, Channel.SERVE)
    return changed


def _join(endpoint: PoolEndpoint, row: Server | None) -> bool:
    """Make the server of an endpoint, or bring it up to date."""
    if row is not None and row.pool != endpoint.pool:
        whose = f"pool {row.pool}" if row.pool else "a person"
        _refuse(endpoint, f"a server of this name belongs to {whose}: the pool has to call its own differently")
        return False
    values = _values(endpoint)
    if row is None:
        return _make(endpoint, values)
    back = row.withdrawn_at is not None
    values |= {"enabled": True, "draining": False, "withdrawn_at": None} if back else {}
    different = [name for name, value in values.items() if getattr(row, name) != value]
    if not different:
        return False
    for name in different:
        setattr(row, name, values[name])
    if not _sound(endpoint, row, different):
        return False
    if back:
        say("server.pooled", f"Pool {endpoint.pool} hands out {row.name} again", subject=f"server:{row.name}")
    return True


def _make(endpoint: PoolEndpoint, values: Mapping[str, Any]) -> bool:
    row = Server(name=endpoint.name, pool=endpoint.pool, **values)
    if not _sound(endpoint, row, None):
        return False
    text = f"Pool {endpoint.pool} hands out {row.name} with {row.budget_gb:g} GB for models"
    say("server.pooled", text, subject=f"server:{row.name}")
    return True


def _sound(endpoint: PoolEndpoint, row: Server, columns: Sequence[str] | None) -> bool:
    """Save a server, unless what the pool says of it is no server."""
    try:
        with transaction.atomic():
            row.clean_fields(exclude={"name"} if row.pk else None)
            row.save(update_fields=columns)
    except ValidationError as error:
        _refuse(endpoint, "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items()))
    except IntegrityError:
        _refuse(endpoint, f"another server has the address {row.url} already")
    else:
        return True
    return False


def _refuse(endpoint: PoolEndpoint, why: str) -> None:
    log.warning("pool.refused", pool=endpoint.pool, server=endpoint.name, why=why)


def _values(endpoint: PoolEndpoint) -> dict[str, Any]:
    return {
        "url": tidy(endpoint.url, "/v1"),
        "token": endpoint.token,
        "dialect": endpoint.dialect,
        "budget_gb": float(endpoint.budget_gb),
        "region": endpoint.region,
        "slots": endpoint.slots,
        "weight": endpoint.weight,
    }


def _leave(row: Server, now: datetime) -> bool:
    """Let a server go that is handed out no longer: first it drains, then, when nothing is in flight there, it is disabled."""
    if row.withdrawn_at is None:
        row.withdrawn_at, row.draining = now, True
        row.save(update_fields=["withdrawn_at", "draining"])
        say("server.withdrawn", f"Pool {row.pool} takes {row.name} back: it gets nothing new", subject=f"server:{row.name}")
        return True
    if not row.enabled or Seat.objects.filter(placement__server=row).exists():
        return False
    row.enabled = False
    row.save(update_fields=["enabled"])
    say("server.left", f"{row.name} has finished what it had and is out", subject=f"server:{row.name}", level=Level.INFO)
    return True


def sync(now: datetime) -> float:
    """One round; returns the seconds until the next."""
    if not manager.hook.pool_endpoints.get_hookimpls():
        return NEVER_S
    try:
        endpoints = ask(now)
    except Exception:  # a pool is foreign code: one that cannot tell changes nothing
        log.exception("pool.silent")
        return EVERY_S
    if endpoints is not None:
        settle(endpoints, now)
    return EVERY_S


async def turn(context: Context) -> float:
    """One round in a thread, for a pool may take its time."""
    return await context.rows(sync, clock.now())


def loop() -> Loop:
    """The loop that asks the pools, of a new engine."""
    return Loop(name="pool", channel=Channel.SETTINGS, turn=turn)
