"""What requests and probes show of health, written to the rows of placements and servers. Shared by the verbs that speak to servers."""

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import Q

from cluster.lmstudio import errors
from cluster.lmstudio.errors import PeerError
from cluster.logic import breaker
from cluster.logic.breaker import Breaker
from cluster.logic.health import Fault, after
from cluster.logic.lifecycle import ServerState
from cluster.logic.order import Outcome
from cluster.models import ClusterPolicy, Placement, Server
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

OWN: Final = (
    errors.Dropped,
    errors.FirstTokenTimeout,
    errors.IdleTimeout,
    errors.Unavailable,
    errors.Malformed,
    errors.Truncated,
    errors.ChannelError,
)
"""What an answer can fail with that shows something of the instance that was asked, not of its whole server."""

OUT: Final = (ServerState.OFFLINE, ServerState.MISCONFIGURED, ServerState.RATE_LIMITED)

Told = tuple[int, Fault | None]
"""A server and what an outcome says of it; None: it answers."""


def fault(error: PeerError) -> Fault:
    """What an error says of health."""
    limited = isinstance(error, errors.RateLimited)
    return Fault(
        text=str(error),
        harms=error.harms_server,
        fatal=isinstance(error, errors.Unreachable),
        misconfigured=isinstance(error, errors.Misconfigured),
        own=isinstance(error, OWN),
        cut=isinstance(error, errors.Dropped),
        limited=limited,
        pause_s=error.retry_after_s if isinstance(error, errors.RateLimited) else None,
    )


# --- placements --------------------------------------------------------------------------------------------------
def rest(outcomes: Sequence[Outcome], policy: ClusterPolicy) -> list[Told]:
    """Count the failures in a row of the placements that were asked; who fails too often rests. Returns what is to be told of servers.

    Locks placements, in the order of their keys: call it before servers are locked.
    """
    told: list[Told] = []
    asked: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in sorted(outcomes, key=lambda o: o.ended_at):
        if outcome.answer or (outcome.fault and outcome.fault.own):
            asked[outcome.ticket.placement_id].append(outcome)
        if outcome.answer or (outcome.fault and not outcome.fault.own):
            told.append((outcome.ticket.server_id, outcome.fault))
    bad = {pid for pid, them in asked.items() if any(o.fault for o in them)}
    rows = Placement.objects.filter(Q(pk__in=bad) | Q(pk__in=asked, failures__gt=0))
    for row in rows.order_by("pk").select_for_update(no_key=True, of=("self",)):
        told.extend((row.server_id, outcome.fault) for outcome in asked[row.pk] if _count(row, outcome, policy))
    return told


def _count(row: Placement, outcome: Outcome, policy: ClusterPolicy) -> bool:
    """Write one outcome to a placement's breaker. Returns whether that made it rest."""
    now = outcome.ended_at
    before = Breaker(failures=row.failures, rest_until=row.rest_until.timestamp() if row.rest_until else None)
    then = breaker.after(
        before,
        outcome.fault is not None,
        trial=outcome.ticket.trial,
        limit=policy.breaker_failures,
        first_s=policy.breaker_pause_s,
        now=now.timestamp(),
        dice=random.random,
    )
    if (then.failures, then.rest_until) == (before.failures, before.rest_until):
        return False
    row.failures = then.failures
    row.rest_until = datetime.fromtimestamp(then.rest_until, UTC) if then.rest_until is not None else None
    row.save(update_fields=["failures", "rest_until"])
    where = f"{outcome.ticket.model} on {outcome.ticket.server}"
    if then.tripped and outcome.fault and then.rest_until is not None:
        seconds = then.rest_until - now.timestamp()
        text = f"{where} failed {then.failures} times in a row and rests for {seconds:.0f} s: {outcome.fault.text}"
        say("placement.resting", text, subject=f"server:{outcome.ticket.server}", level=Level.WARNING)
    elif before.rest_until is not None and then.rest_until is None:
        say("placement.recovered", f"{where} answers again", subject=f"server:{outcome.ticket.server}")
    return then.tripped


def trial(placement: Placement, policy: ClusterPolicy, now: datetime) -> bool:
    """Be the one who tries a placement whose rest is over; everybody else waits a pause longer. Returns whether we are."""
    until = now + timedelta(seconds=policy.breaker_pause_s)
    return Placement.objects.filter(pk=placement.pk, rest_until=placement.rest_until, rest_until__lte=now).update(rest_until=until) == 1


# --- servers -----------------------------------------------------------------------------------------------------
def tell(outcomes: Sequence[Outcome], told: Sequence[Told], policy: ClusterPolicy, now: datetime) -> None:
    """Record what `rest` left to be told of servers, and look at those that lost a connection or an instance.

    Locks servers, in the order of their keys.
    """
    found: dict[int, list[Fault | None]] = defaultdict(list)
    for server_id, fault in told:
        found[server_id].append(fault)
    look = {o.ticket.server_id for o in outcomes if o.gone or (o.fault and o.fault.cut)}
    for server_id in sorted({*found, *look}):
        for fault in found[server_id] if any(found[server_id]) else ():
            note(server_id, fault, policy, now, probed=False)
        if server_id in look:
            Server.objects.filter(pk=server_id).update(listed_at=None)
    well = [server_id for server_id, faults in found.items() if not any(faults)]
    Server.objects.filter(pk__in=well, failures__gt=0, state=ServerState.ONLINE).update(failures=0)


def note(server_id: int, fault: Fault | None, policy: ClusterPolicy, now: datetime, *, probed: bool = True) -> None:
    """Record what an outcome says of a server, under its row's lock; nothing if it says nothing, or if the server was deleted.

    Of a server that is out only a probe says something new: an answer that ends now was begun before.
    """
    row = Server.objects.select_for_update(no_key=True).filter(pk=server_id).first()
    if row is None or not (fault is None or fault.telling):
        return
    old = ServerState(row.state)
    health = after(fault, old, row.failures, limit=policy.breaker_failures, pause_s=policy.breaker_pause_s, now=now, dice=random.random)
    if not probed and old in OUT:
        longer = health.state is old is ServerState.RATE_LIMITED and row.retry_at and health.retry_at and health.retry_at > row.retry_at
        if not longer:
            return
    values: dict[str, object] = {"failures": health.failures, "retry_at": health.retry_at, "state_reason": health.reason}
    if old in OUT and health.state is ServerState.ONLINE:
        values["returned_at"] = now
    if health.state is old:
        Server.objects.filter(pk=server_id).update(**values)
    elif moved(row, old, health.state, state_since=now, **values):
        level = Level.INFO if health.state is ServerState.ONLINE else Level.WARNING
        text = f"{row.name} is {health.state.value}" + (f": {health.reason}" if health.reason else "")
        say(f"server.{health.state.value}", text, subject=f"server:{row.name}", level=level)
        wake(Channel.PLAN, Channel.SERVE)
