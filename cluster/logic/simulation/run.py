"""One run: the requests of a trace through the planner, in simulated time.

The planner is asked when something has changed, and about what has changed:

::

    a request, its model has a free slot and nobody waits   → that request: its seat
    an answer is complete, and its model is waited for      → its model: the seats that are free
    a request that has to wait                              → its model, at most four times a second
    a load is done; each second while anybody waits         → everything
"""

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Final

from cluster.logic.decision import Plan
from cluster.logic.placement import plan
from cluster.logic.simulation.queue import Job, Queue
from cluster.logic.simulation.tally import Figures, Spread, Tally, spread
from cluster.logic.simulation.values import Fleet, Request, Trace
from cluster.logic.simulation.world import Stay, World
from cluster.logic.state import ClusterState, Demand, PlanPolicy

LOOK_S: Final = 0.25
TICK_S: Final = 1.0
IDLE_TICKS: Final = 5
"""Between two looks while nobody waits: what is unused leaves, what is likely comes."""

FINISH, LOADED = 0, 1
Planner = Callable[[ClusterState, Sequence[Demand], PlanPolicy, float], Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What the planner took, milliseconds: the only figures that differ from run to run."""

    calls: int
    ms: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run's figures, its planner's times, and who was in memory when."""

    figures: Figures
    timing: Timing
    stays: tuple[Stay, ...]
    begin: float
    end: float


def simulate(trace: Trace, policy: PlanPolicy, clock: Callable[[], float], *, shares: bool = False, planner: Planner = plan) -> Result:
    """Run a trace to its end under a policy. `clock` gives seconds, and is asked only to time the planner. `shares`: entities have
    fair shares, as callers have in the cluster; otherwise the requests of a model go by arrival and priority.

    Raises UnsoundPlanError if the planner asks for what no server can do, KeyError if nobody registered the strategy.
    """
    return _Run(trace, policy, clock, planner, shares).run()


class _Run:
    def __init__(self, trace: Trace, policy: PlanPolicy, clock: Callable[[], float], planner: Planner, shares: bool) -> None:
        self.fleet: Fleet = trace.fleet
        self.requests: Sequence[Request] = trace.requests
        self.policy, self.narrow = policy, replace(policy, preload=False)
        self.clock, self.planner = clock, planner
        self.begin = trace.requests[0].t
        self.world = World(trace.fleet, self.begin)
        self.queue = Queue(trace.fleet.patience_s, shares=shares)
        self.tally = Tally(warm_s=trace.fleet.warm_s)
        self.events: list[tuple[float, int, int, int, Job | None]] = []
        """When, number, kind, placement, whose."""
        self.number = 0
        self.looked: dict[int, float] = {}
        self.urgent = False
        """Somebody has waited so long that everything is planned around them: then every plan must see everything."""
        self.times = array("d")

    def run(self) -> Result:
        arrivals = iter(enumerate(self.requests, 1))
        coming = next(arrivals, None)
        tick = float(math.floor(self.begin))
        while coming or self.events or self.queue.waiting:
            t = coming[1].t if coming else math.inf
            first = self.events[0][0] if self.events else math.inf
            if tick <= t and tick <= first:
                self.world.now = tick
                if self.queue.waiting or not tick % IDLE_TICKS:
                    self._everything()
                tick += TICK_S
            elif t <= first and coming:
                self.world.now = t
                self._arrive(*coming)
                coming = next(arrivals, None)
            else:
                self._happen()
        self.world.now = max(self.world.now, self.begin)
        timing = Timing(calls=len(self.times), ms=spread([1000 * seconds for seconds in self.times]))
        figures = self.tally.figures(self.policy.strategy, len(self.times))
        return Result(figures=figures, timing=timing, stays=self.world.close(), begin=self.begin, end=self.world.now)

    # --- events
    def _arrive(self, number: int, request: Request) -> None:
        world, model_id = self.world, request.model + 1
        pin_id = world.server_ids.get(request.pin, 0) if request.pin else None
        job = Job(
            number=number,
            t=request.t,
            model_id=model_id,
            tokens=request.tokens,
            entity=request.entity,
            priority=request.priority,
            pin_id=pin_id,
        )
        world.asked(model_id)
        job.warm = world.warm(model_id, pin_id)
        self.tally.arrived(job)
        self._expire((model_id,))
        free = 0 if self.queue.waits(model_id) else world.free_slots(model_id, pin_id)
        self.queue.add(job, world.cost_s(model_id))
        if free:
            self._seat(model_id, free)
        elif world.now - self.looked.get(model_id, -math.inf) >= LOOK_S:
            self.looked[model_id] = world.now
            self._some(model_id)

    def _happen(self) -> None:
        now, _, kind, placement_id, job = heappop(self.events)
        world = self.world
        world.now = now
        if kind == LOADED:
            world.loaded(placement_id)
            self._everything()
            return
        assert job is not None
        world.finish(placement_id, now - job.begun)
        self.tally.ended(job, now)
        if self.queue.waits(job.model_id):
            self._seat(job.model_id, world.free_slots(job.model_id))

    def _expire(self, models: Sequence[int] | None) -> None:
        for job in self.queue.expired(self.world.now, models):
            self.tally.rejected(job)

    # --- plans
    def _seat(self, model_id: int, free: int) -> None:
        """Give the free slots of one model to those who wait for it; what is left over is looked at with the next tick."""
        if self.urgent:
            self._everything()
            return
        self._expire((model_id,))
        demand = self.queue.demand((model_id,))
        for need in demand:
            need.waiting = min(need.waiting, free)
        if demand and free:
            self._sit(self._plan(demand, self.narrow))

    def _some(self, model_id: int) -> None:
        """Plan for one model; for everything while somebody is overdue."""
        if self.urgent:
            self._everything()
            return
        self._expire((model_id,))
        self.world.refresh()
        demand = self.queue.demand((model_id,))
        if demand:
            self._carry_out(self._plan(demand, self.narrow))

    def _everything(self) -> None:
        self._expire(None)
        self.world.refresh()
        demand = self.queue.demand()
        limit = self.world.now - self.policy.overdue_s
        self.urgent = any(need.turn <= limit for need in demand)
        self._carry_out(self._plan(demand, self.policy))

    def _plan(self, demand: Sequence[Demand], policy: PlanPolicy) -> Plan:
        begin = self.clock()
        decided = self.planner(self.world.state, demand, policy, self.world.now)
        self.times.append(self.clock() - begin)
        return decided

    def _carry_out(self, decided: Plan) -> None:
        world, tally, now = self.world, self.tally, self.world.now
        for never in decided.impossible:
            tally.impossible[world.keys[never.model_id]] = never.why
            for job in self.queue.line(never.model_id, never.pin_id).clear():
                tally.rejected(job)
        self._sit(decided)
        for unload in decided.unloads:
            world.unload(unload.placement_id)
            tally.unloads += 1
        for load in decided.loads:
            placement_id, end = world.load(load.model_id, load.server_id, load.evict)
            tally.loads += 1
            tally.gb += load.gb
            tally.evictions += len(load.evict)
            if load.caller:
                self.queue.charge(load.caller, now, load.seconds)
            self._push(end, LOADED, placement_id, None)

    def _sit(self, decided: Plan) -> None:
        for seat in decided.seats:
            line = self.queue.line(seat.model_id, seat.pin_id)
            for _ in range(seat.n):
                job = line.pop()
                end = self.world.start(seat.placement_id, job)
                self.tally.started(job, self.world.now)
                self._push(end, FINISH, seat.placement_id, job)

    def _push(self, at: float, kind: int, placement_id: int, job: Job | None) -> None:
        self.number += 1
        heappush(self.events, (at, self.number, kind, placement_id, job))
