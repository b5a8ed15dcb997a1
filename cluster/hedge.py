"""Asking twice: when the first token of an answer is late, and the model is warm a second time, the other copy is asked too.

Whoever streams a token first wins; the other's connection is closed and its seat given back. One result comes of it either way.

::

    first token in time                          → nothing happens here
    late, and a second copy has nothing to do    → it is asked as well, on a seat of its own (`Seat.hedge`)
    one of the two fails before its first token  → the other goes on alone
    that fails too                               → its failure counts for the request, the earlier one for its server
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count

from cluster.address import endpoint
from cluster.logic.breaker import crashed, ramp
from cluster.logic.lifecycle import GenerationState, PlacementState, ServerState
from cluster.logic.order import Outcome, Ticket
from cluster.models import ClusterPolicy, Generation, Offer, Placement, Seat
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import taken
from swwbot_site.lib.loops import Rows
from swwbot_site.lib.wake import Channel, wake

Ask = Callable[[Ticket, Callable[[], None]], Coroutine[Any, Any, Outcome]]
"""Asks with a ticket's seat; calls the other argument at the first token."""


# --- rows --------------------------------------------------------------------------------------------------------
def take(ticket: Ticket, owner: int) -> Ticket | None:
    """A second seat for a request in flight, under the planner's lock; None if no other copy is idle, or somebody waits for it."""
    with transaction.atomic():
        policy = ClusterPolicy.objects.select_for_update(no_key=True).get(pk=ClusterPolicy.current().pk)
        now = clock.now()
        rows = Generation.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
        row = rows.filter(pk=ticket.generation_id, lease_owner=owner, state=GenerationState.RUNNING).first()
        if row is None or Generation.objects.filter(model_id=row.model_id, state=GenerationState.QUEUED, leader__isnull=True).exists():
            return None
        found = _idle(row, ticket, policy, now)
        if found is None:
            return None
        placement, key = found
        Seat.objects.create(generation=row, hedge=True, placement=placement, taken_at=now, **taken(owner, now))
        Placement.objects.filter(pk=placement.pk).update(used_at=now)
        told = {"server": placement.server.name, "after_s": ticket.hedge_after_s, "why": f"no token from {ticket.server} by then"}
        Generation.objects.filter(pk=row.pk).update(decision={**row.decision, "hedged": told})
    step("hedge.after")
    return replace(
        ticket,
        placement_id=placement.pk,
        server_id=placement.server_id,
        server=placement.server.name,
        endpoint=endpoint(placement.server),
        instance_id=placement.instance_id,
        context_length=placement.context_length,
        names=(key or placement.model.key, placement.model.key, *placement.model.aliases),
        trial=False,
        hedge=True,
    )


def _idle(row: Generation, ticket: Ticket, policy: ClusterPolicy, now: datetime) -> tuple[Placement, str] | None:
    """The other copy of the model with most seats free, and its server's spelling of the name; another server before the same one."""
    copies = Placement.objects.filter(
        model_id=row.model_id,
        state=PlacementState.LOADED,
        rest_until__isnull=True,
        server__state=ServerState.ONLINE,
        server__enabled=True,
        server__draining=False,
    ).exclude(pk=ticket.placement_id)
    if row.pin_id is not None:
        copies = copies.filter(server_id=row.pin_id)
    offers = {offer.server_id: offer for offer in Offer.objects.filter(model_id=row.model_id)}
    best: tuple[tuple[bool, int, int], Placement] | None = None
    locked = copies.order_by("pk").select_for_update(no_key=True, of=("self",))
    busy = dict(Seat.objects.filter(placement__in=copies).values_list("placement").annotate(n=Count("pk")).order_by())
    for placement in locked.select_related("server", "model"):
        free = _open(placement, offers.get(placement.server_id), policy, now) - busy.get(placement.pk, 0)
        rank = (placement.server_id != ticket.server_id, free, -placement.pk)
        if free > 0 and (best is None or rank > best[0]):
            best = (rank, placement)
    if best is None:
        return None
    offer = offers.get(best[1].server_id)
    return best[1], offer.key if offer else ""


def _open(placement: Placement, offer: Offer | None, policy: ClusterPolicy, now: datetime) -> int:
    """How many seats of a placement may be taken in all."""
    server = placement.server
    slots = ramp(placement.slots, server.returned_at.timestamp() if server.returned_at else None, now.timestamp(), policy.return_s)
    return crashed(slots, offer.crashed_at.timestamp() if offer and offer.crashed_at else None, now.timestamp())


def settle(winner: Ticket, loser: Ticket, owner: int) -> None:
    """Give the loser's seat back, and let the generation say who answers it."""
    with transaction.atomic():
        rows = Generation.objects.select_for_update(no_key=True, of=("self",))
        row = rows.filter(pk=winner.generation_id, lease_owner=owner, state=GenerationState.RUNNING).first()
        if row is None:
            return
        Seat.objects.filter(generation=row, hedge=loser.hedge).delete()
        told = {**row.decision.get("hedged", {}), "answers": winner.server}
        Generation.objects.filter(pk=row.pk).update(
            server_id=winner.server_id, placement_id=winner.placement_id, decision={**row.decision, "hedged": told}
        )
        wake(Channel.SERVE)


# --- network -----------------------------------------------------------------------------------------------------
@dataclass(slots=True, kw_only=True)
class _Runner:
    """One of the two who are asked: its task, and whether its first token has come."""

    ticket: Ticket
    task: asyncio.Task[Outcome]
    begun: asyncio.Event

    def failed(self) -> bool:
        """It ended without an answer."""
        return self.task.done() and self.task.result().answer is None

    def won(self) -> bool:
        """It has a token, or an answer."""
        return not self.failed() and (self.begun.is_set() or self.task.done())


async def race(ticket: Ticket, ask: Ask, rows: Rows, owner: int) -> Outcome:
    """Ask, and after `ticket.hedge_after_s` without a token ask a second copy as well. Returns the one outcome of both."""
    first = _start(ticket, ask)
    runners = [first]
    try:
        other, patience = None, ticket.hedge_after_s
        while other is None:
            await _news(runners, patience)
            if first.won() or first.failed():
                return await first.task
            other = await rows(take, ticket, owner)
            patience *= 2  # nobody was idle: perhaps later
        if first.won():  # while we looked for another
            await rows(settle, ticket, other, owner)
            return await first.task
        second = _start(other, ask)
        runners.append(second)
        await _news(runners)
        winner, loser = (first, second) if first.won() or second.failed() else (second, first)
        beside = loser.task.result() if loser.task.done() else None
        await _stop([loser])
        await rows(settle, winner.ticket, loser.ticket, owner)  # only now is its seat free
        return replace(await winner.task, beside=beside)
    finally:
        await _stop(runners)


def _start(ticket: Ticket, ask: Ask) -> _Runner:
    begun = asyncio.Event()
    return _Runner(ticket=ticket, begun=begun, task=asyncio.create_task(ask(ticket, begun.set)))


async def _news(runners: list[_Runner], seconds: float | None = None) -> None:
    """Wait until one of them has a token or an end, at most for `seconds`."""
    tokens = [asyncio.ensure_future(runner.begun.wait()) for runner in runners]
    waited: list[asyncio.Future[Any]] = [*tokens, *(runner.task for runner in runners)]
    try:
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for token in tokens:
            token.cancel()


async def _stop(runners: list[_Runner]) -> None:
    """Close the connections of those that still wait."""
    tasks = [runner.task for runner in runners if not runner.task.done()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
