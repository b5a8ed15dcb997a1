"""The planner's working copy of the cluster: the state, with what the plan has already decided marked on it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nlargest

from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import ClusterState, Demand, OfferView, PlacementView, PlanPolicy, ServerView


@dataclass(slots=True)
class Pressure:
    """What waits for one model and got no seat: how many, since when the first, the best priority; how many have a deadline, and which."""

    waiting: int = 0
    oldest: float = float("inf")
    priority: int = 99
    timed: float = 0.0
    deadline: float = float("inf")
    """The soonest."""
    latest: float = 0.0
    """The last deadline; 0 where it is not known."""

    def add(self, need: Demand, left: int) -> None:
        self.waiting += left
        if need.oldest < self.oldest:
            self.oldest = need.oldest
        if need.priority < self.priority:
            self.priority = need.priority
        if need.deadline is not None:
            self.timed += left if need.timed is None else left * need.timed / need.waiting
            self.deadline = min(self.deadline, need.deadline)
            self.latest = max(self.latest, need.latest or 0.0)


NOTHING = Pressure()


@dataclass(slots=True)
class Board:
    """The state with the plan's own decisions marked on it, so that a later demand sees what an earlier one took."""

    state: ClusterState
    policy: PlanPolicy
    now: float
    taken: dict[int, int] = field(default_factory=dict)
    """Seats that this plan gives, by placement."""
    promised: set[int] = field(default_factory=set)
    """Servers that nothing more may be loaded on by this plan."""
    leaving: set[int] = field(default_factory=set)
    withheld: set[int] = field(default_factory=set)
    """Placements that get no seats: they run empty for somebody who has waited too long."""
    coming: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The servers that this plan has load a model."""
    pressure: dict[int, Pressure] = field(default_factory=dict)
    """By model."""
    change: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Copies of a model, more or less by this plan's decisions."""
    worths: dict[int, float] = field(default_factory=dict)
    losses: dict[int, dict[int, float]] = field(default_factory=dict)
    """What is lost when a copy goes, by the server with the largest room elsewhere, then by model."""
    floors: dict[int, float] = field(default_factory=dict)
    free: dict[int, float] = field(default_factory=dict)
    """By server: GB that nothing holds and this plan has not promised."""
    flight: dict[int, int] = field(default_factory=dict)
    """By server: requests in flight, those that this plan sends there included."""
    idling: dict[int, list[PlacementView]] = field(default_factory=dict)
    """By server: what is loaded, not pinned, and had nothing in flight when the plan began."""
    outgoing: dict[int, list[float]] = field(default_factory=dict)
    """By server: GB of each instance that is leaving already."""
    well: set[int] = field(default_factory=set)
    """Servers that are."""
    ready: set[int] = field(default_factory=set)
    """Those of them that were not loading when the plan began."""
    odd: set[int] = field(default_factory=set)
    """Servers of which more than the memory has to be looked at before a load: their formats, their number of models, what leaves."""
    fetched: dict[int, float] = field(default_factory=dict)
    """By server: when something was last loaded there."""
    crowd: float | None = None
    """Requests a second for each server that is well, once somebody asks."""
    gaps: list[tuple[float, int]] | None = None
    """The two largest rooms, GB, and where they are, once somebody asks."""
    cycle: float | None = None
    """How long the disks would take to load what is nowhere and asked for, once somebody asks."""
    _copies: dict[int, int] = field(default_factory=dict)
    _warm: dict[int, list[PlacementView]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        loaded, by_server = PlacementState.LOADED, self.state.by_server
        for server in self.state.servers.values():
            server_id, free, flight = server.id, server.budget_gb, 0
            idle: list[PlacementView] = []
            for placement in by_server[server_id]:
                free -= placement.gb
                if placement.in_flight:
                    flight += placement.in_flight
                elif placement.state is loaded and not placement.pinned:
                    idle.append(placement)
            self.free[server_id], self.flight[server_id], self.idling[server_id] = free, flight, idle
            if server.well:
                self.well.add(server_id)
            if server.formats or server.max_models is not None:
                self.odd.add(server_id)
        self.ready = self.well - self.state.loading
        for server_id in self.state.unloading:
            self.outgoing[server_id] = [p.gb for p in by_server[server_id] if p.state is PlacementState.UNLOADING]
            self.odd.add(server_id)

    def warm(self, model_id: int) -> list[PlacementView]:
        """The instances of a model that had a free slot when the plan began, on servers that are well."""
        found = self._warm.get(model_id)
        if found is None:
            loaded, well = PlacementState.LOADED, self.well
            places = self.state.by_model.get(model_id, ())
            found = [p for p in places if p.in_flight < p.slots and p.state is loaded and p.server_id in well]
            self._warm[model_id] = found
        return found

    def press(self, needs: Iterable[tuple[Demand, int]]) -> None:
        """Note how many of each demand wait, in place of what was noted before."""
        self.pressure.clear()
        for need, left in needs:
            pressure = self.pressure.get(need.model_id)
            if pressure is None:
                pressure = self.pressure[need.model_id] = Pressure()
            pressure.add(need, left)

    def take(self, placement_id: int, server_id: int, seats: int) -> None:
        """Give seats of a placement."""
        self.flight[server_id] += seats
        self.taken[placement_id] = self.taken.get(placement_id, 0) + seats

    def seatable(self, placement_id: int) -> bool:
        """Whether a placement may get seats at all: it neither leaves nor runs empty."""
        return placement_id not in self.leaving and placement_id not in self.withheld

    def idle(self, placement: PlacementView) -> bool:
        """Loaded, and nothing in flight nor given."""
        return placement.in_flight == 0 and placement.state is PlacementState.LOADED and placement.id not in self.taken

    def forget(self, model_id: int) -> None:
        """Work out anew what is lost with a copy of a model: there are more of them now, or fewer."""
        self.worths.pop(model_id, None)
        for losses in self.losses.values():
            losses.pop(model_id, None)

    def gap(self, server_id: int) -> tuple[float, int]:
        """GB of the largest room on any other server that could load something now, and where; 0 if there is none."""
        if self.gaps is None:
            free = self.free
            self.gaps = nlargest(2, [(free[other], other) for other in self.ready - self.promised - self.odd])
        for gb, other in self.gaps:
            if other != server_id:
                return gb, other
        return 0.0, server_id

    def copies(self, model_id: int) -> int:
        """Instances on servers that are well: loaded, loading or decided on, less those that leave."""
        return self.there(model_id) + self.change.get(model_id, 0)

    def there(self, model_id: int) -> int:
        """The same as it was when the plan began."""
        count = self._copies.get(model_id)
        if count is None:
            unloading, well = PlacementState.UNLOADING, self.well
            places = self.state.by_model.get(model_id, ())
            count = self._copies[model_id] = len([1 for p in places if p.state is not unloading and p.server_id in well])
        return count

    def busy(self, server_id: int) -> bool:
        """Whether a server is loading, or is promised to a load."""
        return server_id in self.state.loading or server_id in self.promised

    def load_s(self, model_id: int, server: ServerView, offer: OfferView | None = None) -> float:
        """How long a load should take there."""
        if offer is not None and offer.load_s is not None:
            return offer.load_s
        return self.state.models[model_id].need_gb / server.gb_per_s


def runs(server: ServerView, offer: OfferView) -> bool:
    """Whether the server takes the format in which it has the model."""
    return not server.formats or not offer.format or offer.format.lower() in {f.lower() for f in server.formats}


def liked(server: ServerView, key: str) -> int:
    """0: the server names the model among its preferred ones; 1: it prefers any model; 2: neither."""
    if not server.preferred:
        return 2
    return 0 if key in server.preferred else 1 if "*" in server.preferred else 2


def may(board: Board, offer: OfferView) -> ServerView | None:
    """The server of an offer, if its model may run there at all (usable, the format)."""
    server = board.state.servers.get(offer.server_id)
    return server if server is not None and server.usable and runs(server, offer) else None
