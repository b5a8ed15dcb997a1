"""Serving, from a waiting request to its stored answer. Who reads only this file knows the cluster.

::

    5 plan     demand per model + cluster state → seats to give, models to load, what to evict      cluster/plan.py
    6 seat     under a short lock: write the reservations; commit                                    cluster/seat.py
    7 ready    outside any lock: unload, load, wait until the server confirms                        cluster/ready.py
    8 ask      the chat completion                                                                   cluster/ask.py
    9 finish   store text, usage, timings; give the seat back; tell the breaker                      cluster/finish.py

Beside it: `probe` looks at servers, `reconcile` makes rows agree with what they list.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from cluster import ask, finish, plan, probe, queue, ready, reconcile, seat
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.values import Endpoint, Timeouts
from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.order import Errand, Orders, Outcome, Ticket
from cluster.models import ClusterPolicy, Generation, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE, LEASE, abandoned
from swwbot_site.lib.loops import Context, Loop, Rows
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake

log = structlog.get_logger(__name__)

IDLE_S = 1.0
"""How often the loop looks by itself."""

PATIENCE_S = 6.0
"""How long a stopping engine lets its running answers finish."""


def reserve(owner: int, capacity: int, now: datetime) -> Orders:
    """Steps 5 and 6: plan and reserve, one engine at a time; the lock is the policy's row."""
    waiting = Generation.objects.filter(state=GenerationState.QUEUED).exists()
    policy = ClusterPolicy.current()
    if not waiting and policy.keep_models_loaded:
        return Orders()
    queue.expire(now)
    with transaction.atomic():
        policy = ClusterPolicy.objects.select_for_update(no_key=True).get(pk=policy.pk)
        step("plan.before")
        decision = plan.decide(policy, now)
        step("seat.before")
        orders = seat.seat(decision, policy, owner, capacity, now)
    step("seat.after")
    return orders


def renew(owner: int, generations: Sequence[int], placements: Sequence[int], now: datetime) -> None:
    """Renew the leases of what an engine really has in hand; what it only holds on paper runs out and is taken back.

    What somebody has locked at this moment is being settled, and needs no renewal.
    """
    with transaction.atomic():
        mine = Generation.objects.filter(lease_owner=owner, state=GenerationState.RUNNING, pk__in=generations)
        ids = list(mine.order_by("pk").select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
        Generation.objects.filter(pk__in=ids).update(lease_until=now + LEASE)
        Seat.objects.filter(lease_owner=owner, generation_id__in=ids).update(lease_until=now + LEASE)
    with transaction.atomic():
        held = Placement.objects.filter(lease_owner=owner, pk__in=placements)
        ids = list(held.order_by("pk").select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
        Placement.objects.filter(pk__in=ids).update(lease_until=now + LEASE)


def reap(now: datetime, alive: frozenset[int]) -> int:
    """Give back what dead engines had in flight: it waits again, and the attempt is not counted. Their loads are looked at."""
    _look_at(Placement.objects.filter(abandoned(now, alive), state__in=[PlacementState.LOADING, PlacementState.UNLOADING]))
    with transaction.atomic():
        lost = Generation.objects.filter(abandoned(now, alive), state=GenerationState.RUNNING)
        ids = list(lost.select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
        return give_back(ids, "its engine died") if ids else 0


def give_back(ids: list[int], why: str) -> int:
    """Running generations back into the queue, their seats free."""
    with transaction.atomic():
        Seat.objects.filter(generation_id__in=ids).delete()
        count = move(Generation.objects.filter(pk__in=ids), GenerationState.RUNNING, GenerationState.QUEUED, **FREE)
        if count:
            say("generation.requeued", f"{count} requests wait again: {why}", level=Level.WARNING)
            wake(Channel.SERVE)
        return count


def release(owner: int, tickets: list[int]) -> None:
    """At the end of an engine: what it has not finished waits again; its loads may be taken over at once."""
    mine = Generation.objects.filter(pk__in=tickets, lease_owner=owner).values_list("pk", flat=True)
    give_back(list(mine), "the engine stops")
    held = Placement.objects.filter(lease_owner=owner, state__in=[PlacementState.LOADING, PlacementState.UNLOADING])
    _look_at(held)
    held.update(lease_until=clock.now() - timedelta(seconds=1))


def _look_at(placements: QuerySet[Placement]) -> None:
    """Let the servers of placements that nobody looks after be asked what became of them."""
    servers = sorted(set(placements.values_list("server_id", flat=True)))
    if servers and Server.objects.filter(pk__in=servers).update(listed_at=None):
        wake(Channel.SERVE)


async def _look(client: Client, rows: Rows, server_id: int, target: Endpoint, limits: Timeouts) -> None:
    """Look at a server, and make the rows agree with what it lists."""
    look = await probe.probe(client, target, limits)
    if isinstance(look, PeerError):
        await rows(probe.unseen, server_id, look)
        return
    await rows(reconcile.reconcile, server_id, look.listing, look.listed_at, clock.now())
    await rows(probe.seen, server_id, look)


async def _landed(flights: list[asyncio.Task[None]], hurry: asyncio.Event) -> None:
    """Wait for the flights to end; once there is a hurry, only for a while."""
    pressed: asyncio.Task[Any] = asyncio.create_task(hurry.wait())
    flying: set[asyncio.Task[Any]] = set(flights)
    while flying and not pressed.done():
        flying = (await asyncio.wait({*flying, pressed}, return_when=asyncio.FIRST_COMPLETED))[1] - {pressed}
    if flying:
        await asyncio.wait(flying, timeout=PATIENCE_S)
    pressed.cancel()


class Serve:
    """The serving loop of one engine: what it has in flight, and what has come back and is not stored yet."""

    def __init__(self) -> None:
        self._flights: dict[int, asyncio.Task[None]] = {}
        self._looks: set[asyncio.Task[None]] = set()
        self._errands: dict[int, asyncio.Task[None]] = {}
        self._outcomes: list[Outcome] = []
        self._batch: tuple[Outcome, ...] = ()
        self._back = asyncio.Event()
        self._store: asyncio.Task[None] | None = None

    async def turn(self, context: Context) -> float:
        """One round: look at servers that are due, plan, reserve, and send off what was reserved."""
        client = Client(context.http)
        if self._store is None:
            self._store = context.spawn(self._storing(context), "store")
        now = clock.now()
        for server_id, target, limits in await context.rows(probe.due, context.owner, now):
            look = context.spawn(_look(client, context.rows, server_id, target, limits), f"probe {server_id}")
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)
        capacity = settings.ENGINE_IN_FLIGHT - len(self._flights)
        orders = await context.rows(reserve, context.owner, capacity, now)
        for ticket in orders.tickets:
            self._flights[ticket.generation_id] = context.spawn(self._flight(client, ticket), f"ask {ticket.generation_id}")
        for errand in orders.loads:
            self._errand(context, errand, ready.load(client, context.rows, errand))
        for errand in orders.unloads:
            self._errand(context, errand, ready.unload(client, context.rows, errand))
        if orders.until:
            return min(IDLE_S, max(0.05, (orders.until - now).total_seconds()))
        return IDLE_S

    async def finish(self, context: Context) -> None:
        """Let the running answers finish for a while, then give the rest back."""
        flights = list(self._flights.values())
        if flights:
            await _landed(flights, context.hurry)
        unfinished = [gid for gid, task in self._flights.items() if not task.done()]
        for task in (*(self._flights[gid] for gid in unfinished), *self._errands.values(), *self._looks):
            task.cancel()
        if self._store:
            self._store.cancel()
            await asyncio.wait([self._store])
        left = (*self._batch, *self._outcomes)
        if left:
            await context.rows(finish.finish, left, context.owner)
        await context.rows(release, context.owner, unfinished)

    async def _flight(self, client: Client, ticket: Ticket) -> None:
        try:
            outcome = await ask.ask(client, ticket)
            self._outcomes.append(outcome)  # the list may have been taken away meanwhile: look it up after the wait
            self._back.set()
        finally:
            self._flights.pop(ticket.generation_id, None)

    async def _storing(self, context: Context) -> None:
        """Store outcomes as they come back, all that are there at once; while the database is away they are kept."""
        while True:
            await self._back.wait()
            self._back.clear()
            self._batch, self._outcomes = tuple(self._outcomes), []
            try:
                await context.rows(finish.finish, self._batch, context.owner)
            except Exception:  # one bad outcome must not end the storing of all others
                log.exception("serve.store_failed", outcomes=len(self._batch))
                await self._one_by_one(context)
            self._batch = ()
            context.ring(Channel.SERVE)
            context.ring(Channel.DELIVER)

    async def _one_by_one(self, context: Context) -> None:
        """Store what can be stored of a batch that failed as a whole; the lease of the rest runs out, and it is asked again."""
        for outcome in self._batch:
            try:
                await context.rows(finish.finish, (outcome,), context.owner)
            except Exception:  # told, and given up
                log.exception("serve.outcome_lost", generation=outcome.ticket.generation_id)

    def _errand(self, context: Context, errand: Errand, work: Coroutine[Any, Any, None]) -> None:
        task = context.spawn(work, f"placement {errand.placement_id}")
        self._errands[errand.placement_id] = task
        task.add_done_callback(lambda _: self._errands.pop(errand.placement_id, None))

    def renew(self, owner: int, now: datetime) -> None:
        """Rows: the heartbeat of what is in flight, come back, loading or unloading."""
        back = [o.ticket.generation_id for o in (*self._outcomes, *self._batch)]
        renew(owner, [*self._flights, *back], list(self._errands), now)


def loop() -> Loop:
    """The serving loop of a new engine."""
    serve = Serve()
    return Loop(name="serve", channel=Channel.SERVE, turn=serve.turn, finish=serve.finish, renew=serve.renew, reap=reap)
