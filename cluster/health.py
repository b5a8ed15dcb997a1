"""What requests and probes show of a server's health, written to its row. Shared by the verbs that speak to servers."""

import random
from datetime import datetime

from cluster.lmstudio.errors import Misconfigured, PeerError, RateLimited, Unreachable
from cluster.logic.health import Fault, after
from cluster.logic.lifecycle import ServerState
from cluster.models import ClusterPolicy, Server
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake


def fault(error: PeerError) -> Fault:
    """What an error says of the server's health."""
    return Fault(
        text=str(error),
        harms=error.harms_server,
        fatal=isinstance(error, Unreachable),
        misconfigured=isinstance(error, Misconfigured),
        pause_s=error.retry_after_s if isinstance(error, RateLimited) else None,
    )


def note(server_id: int, fault: Fault | None, policy: ClusterPolicy, now: datetime) -> None:
    """Record what an outcome says of a server, under its row's lock; nothing if it says nothing, or if the server was deleted."""
    telling = fault is None or fault.harms or fault.misconfigured or fault.pause_s is not None
    row = Server.objects.select_for_update(no_key=True).filter(pk=server_id).first()
    if row is None or not telling:
        return
    old = ServerState(row.state)
    health = after(fault, old, row.failures, limit=policy.breaker_failures, pause_s=policy.breaker_pause_s, now=now, dice=random.random)
    values = {"failures": health.failures, "retry_at": health.retry_at, "state_reason": health.reason}
    if health.state is old:
        Server.objects.filter(pk=server_id).update(**values)
    elif moved(row, old, health.state, state_since=now, **values):
        level = Level.INFO if health.state is ServerState.ONLINE else Level.WARNING
        text = f"{row.name} is {health.state.value}" + (f": {health.reason}" if health.reason else "")
        say(f"server.{health.state.value}", text, subject=f"server:{row.name}", level=level)
        wake(Channel.SERVE)
