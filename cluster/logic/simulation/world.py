"""The servers as they behave in the model, and what is learned of them: the planner's own view of a cluster, changed event by event.

A server loads one model at a time, at its speed; memory is taken from the start of a load; an unload takes no time and needs an idle
instance; each instance gives `slots` answers at once, none slower for the others.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.logic import learning
from cluster.logic.fairness import ANSWER_S, SLOTS
from cluster.logic.lifecycle import PlacementState
from cluster.logic.simulation.queue import Job, UnsoundPlanError
from cluster.logic.simulation.values import Fleet, Machine
from cluster.logic.state import ClusterState, ModelView, OfferView, PlacementView, ServerView

REFRESH_S = 0.25
"""Rates decay so slowly that they are brought up to date only so often."""

EPSILON_GB = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One instance's time in memory: loading from `begin`, loaded from `loaded`, gone at `end`; None: not yet when the trace ended."""

    server_id: int
    model_id: int
    gb: float
    begin: float
    loaded: float | None
    end: float | None


class World:
    """The state of the simulated cluster. Ids of servers and models are their places in the fleet, from 1."""

    def __init__(self, fleet: Fleet, origin: float) -> None:
        self.machines = dict(enumerate(fleet.servers, 1))
        self.keys = dict(enumerate(fleet.models, 1))
        self.server_ids = {machine.name: index for index, machine in self.machines.items()}
        slots = max(machine.slots for machine in fleet.servers)
        models = {index: ModelView(id=index, key=key, need_gb=gb, slots=slots) for index, (key, gb) in enumerate(fleet.models.items(), 1)}
        homes = {index: self.server_ids.get(fleet.homes[key], 0) for index, key in self.keys.items() if key in fleet.homes}
        offers = [
            OfferView(server_id=server_id, model_id=model_id)
            for model_id in models
            for server_id in self.machines
            if homes.get(model_id, server_id) == server_id
        ]
        servers = [_view(index, machine, fleet.region) for index, machine in self.machines.items()]
        self.state = ClusterState(servers, models, (), offers)
        self.offers = {(offer.server_id, offer.model_id): offer for offer in offers}
        self.places: dict[int, PlacementView] = {}
        self.begun: dict[int, tuple[float, float | None]] = {}
        """When an instance began to load and, once it has, when it was loaded."""
        self.stays: list[Stay] = []
        self.now = self.origin = self._fresh = origin
        self._number = 0
        self._rates: dict[int, tuple[float, float]] = dict.fromkeys(models, (0.0, origin))
        self._answered: dict[tuple[int, int], float] = {}
        self.answer_s: dict[int, float] = {}
        """By model, the mean over servers, once anything was answered."""
        self._means: dict[int, tuple[float, int]] = {}
        self._speeds: dict[int, tuple[float, float]] = {}
        self._loads: deque[tuple[float, float]] = deque()

    # --- what is learned
    def asked(self, model_id: int) -> None:
        """One more request for a model, now."""
        rate, at = self._rates[model_id]
        self._rates[model_id] = learning.decayed(rate, self.now - at, 1.0), self.now
        self.state.models[model_id].rate = learning.corrected(self._rates[model_id][0], self.now - self.origin)

    def refresh(self) -> None:
        """Bring rates and the disks' business up to date, if they are older than a moment."""
        if self.now - self._fresh < REFRESH_S:
            return
        self._fresh = self.now
        age = self.now - self.origin
        for model_id, (rate, at) in self._rates.items():
            self.state.models[model_id].rate = learning.corrected(learning.decayed(rate, self.now - at), age)
        since = self.now - learning.DISK_WINDOW_S
        while self._loads and self._loads[0][1] < since:
            self._loads.popleft()
        seconds = sum(max(0.0, min(end, self.now) - max(begin, since)) for begin, end in self._loads)
        self.state.disk = learning.busy(seconds, len(self.machines))

    def _learn(self, place: PlacementView, seconds: float) -> None:
        offer = self.offers[place.server_id, place.model_id]
        old = offer.answer_s
        offer.answer_s = learning.blend(old, seconds)
        offer.spread_s = learning.spread(offer.spread_s, seconds, offer.answer_s)
        key = place.server_id, place.model_id
        offer.answers = learning.evidence(offer.answers, self.now - self._answered.get(key, self.now)) + 1.0
        self._answered[key] = self.now
        total, servers = self._means.get(place.model_id, (0.0, 0))
        total, servers = total + offer.answer_s - (old or 0.0), servers + (old is None)
        self._means[place.model_id] = total, servers
        self.answer_s[place.model_id] = self.state.models[place.model_id].answer_s = total / servers

    # --- what happens
    def cost_s(self, model_id: int) -> float:
        """What an answer of a model costs its caller: how long it takes, shared by as many as are written at once."""
        slots = sum(p.slots for p in self.state.by_model[model_id] if p.state is PlacementState.LOADED)
        return self.answer_s.get(model_id, ANSWER_S) / (slots or SLOTS)

    def warm(self, model_id: int, pin_id: int | None) -> bool:
        """Whether a model is in memory where it may be asked."""
        return any(p.state is PlacementState.LOADED and pin_id in (None, p.server_id) for p in self.state.by_model[model_id])

    def free_slots(self, model_id: int, pin_id: int | None = None) -> int:
        """How many more answers the warm instances could give now."""
        return sum(p.free for p in self.state.by_model[model_id] if pin_id in (None, p.server_id))

    def start(self, placement_id: int, job: Job) -> float:
        """Take a slot. Returns when the answer will be complete."""
        place = self.places.get(placement_id)
        if place is None or not place.free or place.model_id != job.model_id or job.pin_id not in (None, place.server_id):
            raise UnsoundPlanError(f"A seat on placement {placement_id}, which is not there, is full, or may not answer this request.")
        place.in_flight += 1
        place.used_at = job.begun = self.now
        machine = self.machines[place.server_id]
        return self.now + job.tokens / machine.speeds.get(self.keys[place.model_id], machine.tok_per_s)

    def finish(self, placement_id: int, seconds: float) -> None:
        """Give a slot back after an answer of so many seconds."""
        place = self.places[placement_id]
        place.in_flight -= 1
        place.used_at = self.now
        place.served = True
        self._learn(place, seconds)

    def unload(self, placement_id: int) -> None:
        """Let an idle instance go, at once."""
        place = self.places.get(placement_id)
        if place is None or place.in_flight or place.state is not PlacementState.LOADED:
            raise UnsoundPlanError(f"Placement {placement_id} should go, and it is not there, busy, or loading.")
        del self.places[placement_id]
        self.state.remove(place)
        self._stay(place, self.now)

    def load(self, model_id: int, server_id: int, evict: Sequence[int]) -> tuple[int, float]:
        """Begin a load after letting `evict` go. Returns the new instance and when it will be loaded."""
        for placement_id in evict:
            if self.places[placement_id].server_id != server_id:
                raise UnsoundPlanError(f"Placement {placement_id} should make room on a server that it is not on.")
            self.unload(placement_id)
        machine, gb = self.machines[server_id], self.state.models[model_id].need_gb
        if server_id in self.state.loading or sum(p.gb for p in self.state.by_server[server_id]) + gb > machine.memory_gb + EPSILON_GB:
            raise UnsoundPlanError(f"{self.keys[model_id]} should be loaded on {machine.name}, which has no room or is loading already.")
        self._number += 1
        place = PlacementView(
            id=self._number,
            server_id=server_id,
            model_id=model_id,
            state=PlacementState.LOADING,
            gb=gb,
            slots=machine.slots,
            since=self.now,
            served=False,
        )
        self.places[place.id] = place
        self.state.add(place)
        end = self.now + gb / machine.load_gbps
        self.begun[place.id] = self.now, None
        self._loads.append((self.now, end))
        return place.id, end

    def loaded(self, placement_id: int) -> int:
        """A load is done. Returns its model."""
        place = self.places[placement_id]
        begin = self.begun[placement_id][0]
        place.state, place.since = PlacementState.LOADED, self.now
        self.begun[placement_id] = begin, self.now
        self.state.settle(place.server_id)
        offer = self.offers[place.server_id, place.model_id]
        gb, spent = self._speeds.get(place.server_id, (0.0, 0.0))
        new = offer.load_s is None
        before, offer.load_s = offer.load_s or 0.0, learning.blend(offer.load_s, self.now - begin)
        gb, spent = gb + place.gb * new, spent + offer.load_s - before
        self._speeds[place.server_id] = gb, spent
        self.state.servers[place.server_id].gb_per_s = gb / spent
        return place.model_id

    # --- what is told
    def _stay(self, place: PlacementView, end: float | None) -> None:
        begin, loaded = self.begun.pop(place.id)
        stay = Stay(server_id=place.server_id, model_id=place.model_id, gb=place.gb, begin=begin, loaded=loaded, end=end)
        self.stays.append(stay)

    def close(self) -> tuple[Stay, ...]:
        """Every instance's time in memory, also of those that are still there."""
        for place in self.places.values():
            self._stay(place, None)
        return tuple(self.stays)


def _view(server_id: int, machine: Machine, region: str) -> ServerView:
    far = bool(region) and machine.region != region
    return ServerView(id=server_id, name=machine.name, budget_gb=machine.memory_gb, far=far)
