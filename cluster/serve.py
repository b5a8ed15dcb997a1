"""Serving, from a waiting request to its stored answer. Who reads only this file knows the cluster.

::

    5 plan     demand per model + cluster state → seats to give, models to load, what to evict      cluster/plan.py
    6 seat     under a short lock: write the reservations; commit                                    cluster/seat.py
    7 ready    outside any lock: load, unload, wait until the server confirms                        cluster/ready.py, leave.py
    8 ask      the chat completion                                                                   cluster/ask.py
    9 finish   store text, usage, timings; give the seat back; tell the breaker                      cluster/finish.py

Beside it: `hedge` asks twice where the first token is late, `probe` looks at servers, `reconcile` makes rows agree with what they
list, `lease` keeps what is held and takes back what dead engines held.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from cluster import ahead, arrivals, ask, finish, hedge, lease, leave, plan, probe, queue, ready, reconcile, seat, sight
from cluster.catalogue import Catalogue
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.values import Endpoint, Timeouts
from cluster.logic.gathering import gathering
from cluster.logic.order import Errand, Orders, Outcome, Ticket
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import step
from swwbot_site.lib.loops import Context, Loop, Rows, landed
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.lib.written import together

log = structlog.get_logger(__name__)

BUSY_S = 1.0
"""How often the loop looks by itself while something is in flight."""

WAITING_S = 3.0
"""How often while something only waits."""

REST_S = 10.0
"""How often while nothing happens: whoever makes work rings, what has a time is known beforehand, and an ear that was deaf rings too."""

LOOK_S = 0.25
"""How often, at most, it is looked which servers are due and which deadlines have passed."""

PACE_S = 0.002
"""The least time between two rounds: what comes back meanwhile is planned for at once."""

PATIENCE_S = 6.0
"""How long a stopping engine lets its running answers finish."""


def reserve(
    owner: int,
    capacity: int,
    now: datetime,
    catalogue: Catalogue | None = None,
    told: dict[seat.Key, seat.Told] | None = None,
    *,
    anew: bool = False,
) -> Orders:
    """Steps 5 and 6: plan and reserve, one engine at a time; the lock is the policy's row. `anew`: a plan is made although nothing waits."""
    now = max(now, clock.now())  # the database may have been waited for
    waits, planned = together(sight.FIRST.text(), sight.PLANNED.text())
    if not (waits or anew) and plan.rests(planned[0][0] if planned else None, now):
        return Orders()
    if catalogue:
        catalogue.prepare(now, anew=anew)
    with transaction.atomic():
        policy, seen = sight.locked(now)
        step("plan.before")
        if arrivals.count(policy, now):
            seen = seen._replace(models=sight.MODELS.rows())
        decision = plan.decide(policy, now, capacity, catalogue, seen)
        step("seat.before")
        orders = seat.seat(decision, policy, owner, now, told)
        if 0 < capacity <= len(orders.tickets):
            wake(Channel.SERVE)  # there may be more than this engine can take
    step("seat.after")
    return orders


def settle(outcomes: Sequence[Outcome], owner: int, *, stopping: bool) -> None:
    """Step 9. An engine that stops will not take what waits for the seats: others hear of them."""
    finish.finish(outcomes, owner)
    if stopping:
        wake(Channel.SERVE, Channel.DELIVER)


def _time() -> float:
    return asyncio.get_running_loop().time()


async def _look(client: Client, rows: Rows, server_id: int, target: Endpoint, limits: Timeouts) -> bool:
    """Look at a server, and make the rows agree with what it lists. Returns whether it answered."""
    look = await probe.probe(client, target, limits)
    if isinstance(look, PeerError):
        await rows(probe.unseen, server_id, look)
        return False
    await rows(reconcile.reconcile, server_id, look.listing, look.listed_at, clock.now())
    await rows(probe.seen, server_id, look)
    return True


class Serve:
    """The serving loop of one engine: what it has in flight, and what has come back and is not stored yet."""

    def __init__(self) -> None:
        self._flights: dict[int, asyncio.Task[None]] = {}
        self._looks: dict[int, asyncio.Task[None]] = {}
        self._errands: dict[int, asyncio.Task[None]] = {}
        self._outcomes: list[Outcome] = []
        self._batch: tuple[Outcome, ...] = ()
        self._back = asyncio.Event()
        self._catalogue = Catalogue()
        self._told: dict[seat.Key, seat.Told] = {}
        self._looked_at = self._planned_at = datetime.min.replace(tzinfo=UTC)
        self._store: asyncio.Task[None] | None = None
        self._surveying: asyncio.Task[None] | None = None
        self._gathers_until = 0.0
        self._anew = False

    async def turn(self, context: Context) -> float:
        """One round: look at servers that are due, plan, reserve, and send off what was reserved."""
        client = Client(context.http)
        if self._store is None:
            self._store = context.spawn(self._storing(context), "store")
        await asyncio.sleep(self._gathers_until - _time())
        now = clock.now()
        if now - self._looked_at >= timedelta(seconds=LOOK_S) and (self._surveying is None or self._surveying.done()):
            self._looked_at = now
            self._surveying = context.spawn(self._survey(context, client, now), "survey")  # beside: who waits for a seat waits not for this
        capacity = settings.ENGINE_IN_FLIGHT - len(self._flights)
        if capacity <= 0 and now - self._planned_at < timedelta(seconds=BUSY_S):
            return BUSY_S
        self._planned_at = now
        self._anew = context.heard(Channel.PLAN) or self._anew  # until a plan was made
        orders = await context.rows(reserve, context.owner, capacity, now, self._catalogue, self._told, anew=self._anew)
        self._anew = False
        self._gathers_until = _time() + gathering(len(orders.tickets))
        for ticket in orders.tickets:
            self._flights[ticket.generation_id] = context.spawn(self._flight(context, client, ticket), f"ask {ticket.generation_id}")
        for errand in orders.loads:
            self._errand(context, errand, ready.load(client, context.rows, errand))
        for errand in orders.unloads:
            self._errand(context, errand, leave.unload(client, context.rows, errand))
        return await self._pause(context, orders, now)

    async def _survey(self, context: Context, client: Client, now: datetime) -> None:
        """Look at servers that are due; end what waited past its deadline."""
        looks, late = await context.rows(ahead.overdue, now, list(self._looks))
        for server_id, target, limits in await context.rows(probe.due, context.owner, now) if looks else ():
            self._looks[server_id] = look = context.spawn(self._look(context, client, server_id, target, limits), f"probe {server_id}")
            look.add_done_callback(partial(self._seen, context))
        if late:
            await context.rows(queue.expire, now)

    def _seen(self, context: Context, look: asyncio.Task[None]) -> None:
        """A look is over. When the next is due is asked once all are."""
        self._looks = {pk: one for pk, one in self._looks.items() if one is not look}
        if not self._looks:
            context.ring(Channel.SERVE)

    async def _pause(self, context: Context, orders: Orders, now: datetime) -> float:
        """Seconds until the next round if nobody rings."""
        if self._flights:
            return BUSY_S
        coming = await context.rows(ahead.soonest, now, list(self._looks))
        moments = [max(LOOK_S, (moment - now).total_seconds()) for moment in (orders.until, coming.at) if moment]
        return min(REST_S, WAITING_S if coming.waits else REST_S, *moments)

    async def finish(self, context: Context) -> None:
        """Let the running answers finish for a while, then give the rest back."""
        if self._surveying:
            await asyncio.wait([self._surveying])
        await landed(list(self._flights.values()), context.hurry, PATIENCE_S)
        unfinished = [gid for gid, task in self._flights.items() if not task.done()]
        for task in (*(self._flights[gid] for gid in unfinished), *self._errands.values(), *self._looks.values()):
            task.cancel()
        if self._store:
            self._store.cancel()
            await asyncio.wait([self._store])
        left = (*self._batch, *self._outcomes)
        if left:
            await context.rows(settle, left, context.owner, stopping=True)
        await context.rows(lease.release, context.owner, unfinished)

    async def _look(self, context: Context, client: Client, server_id: int, target: Endpoint, limits: Timeouts) -> None:
        """Look at a server, and unload the copies it has too many of."""
        if await _look(client, context.rows, server_id, target, limits):
            for errand in await context.rows(leave.duplicates, server_id, context.owner, clock.now()):
                self._errand(context, errand, leave.unload(client, context.rows, errand))

    async def _flight(self, context: Context, client: Client, ticket: Ticket) -> None:
        try:
            one = partial(ask.ask, client)
            outcome = await (hedge.race(ticket, one, context.rows, context.owner) if ticket.hedge_after_s else one(ticket))
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
                await context.rows(settle, self._batch, context.owner, stopping=context.stopping.is_set())
            except Exception:  # one bad outcome must not end the storing of all others
                log.exception("serve.store_failed", outcomes=len(self._batch))
                await self._one_by_one(context)
            gathers_s, self._batch = gathering(len(self._batch)), ()
            context.ring(Channel.SERVE)
            context.ring(Channel.DELIVER)
            await asyncio.sleep(gathers_s)

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
        held = [*self._flights, *(o.ticket.generation_id for o in (*self._outcomes, *self._batch))]
        if held or self._errands:
            lease.renew(owner, held, list(self._errands), now)


def loop() -> Loop:
    """The serving loop of a new engine."""
    serve = Serve()
    return Loop(
        name="serve", channel=Channel.SERVE, turn=serve.turn, pace_s=PACE_S, finish=serve.finish, renew=serve.renew, reap=lease.reap
    )
