"""The planner's working copy of the cluster: the state, with what the plan has already decided marked on it."""

from collections import defaultdict
from dataclasses import dataclass, field

from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import ClusterState, Demand, OfferView, PlacementView, PlanPolicy, ServerView


@dataclass(slots=True)
class Pressure:
    """What waits for one model and got no seat: how many, since when the first, until when at the soonest, the best priority."""

    waiting: int = 0
    oldest: float = float("inf")
    deadline: float = float("inf")
    priority: int = 99

    def add(self, need: Demand, left: int) -> None:
        self.waiting += left
        self.oldest = min(self.oldest, need.oldest)
        self.priority = min(self.priority, need.priority)
        if need.deadline is not None:
            self.deadline = min(self.deadline, need.deadline)


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
    floors: dict[int, float] = field(default_factory=dict)
    _free: dict[int, float] = field(default_factory=dict)
    _flight: dict[int, int] = field(default_factory=dict)
    _copies: dict[int, int] = field(default_factory=dict)
    _outgoing: dict[int, list[float]] | None = None

    def free_gb(self, server: ServerView) -> float:
        """Memory that nothing holds and this plan has not promised."""
        known = self._free.get(server.id)
        if known is None:
            known = server.budget_gb
            for placement in self.state.by_server[server.id]:
                known -= placement.gb
            self._free[server.id] = known
        return known

    def book(self, server: ServerView, gb: float) -> None:
        """Promise memory of a server; negative gives some back."""
        self._free[server.id] = self.free_gb(server) - gb

    def outgoing(self, server_id: int) -> list[float]:
        """GB of each instance that is leaving a server already."""
        if self._outgoing is None:
            self._outgoing = {}
            for placement in self.state.all():
                if placement.state is PlacementState.UNLOADING:
                    self._outgoing.setdefault(placement.server_id, []).append(placement.gb)
        return self._outgoing.get(server_id, [])

    def flight(self, server_id: int) -> int:
        """Requests in flight on a server, those that this plan sends there included."""
        known = self._flight.get(server_id)
        if known is None:
            known = self._flight[server_id] = sum([p.in_flight + self.taken.get(p.id, 0) for p in self.state.by_server[server_id]])
        return known

    def take(self, placement_id: int, server_id: int, seats: int) -> None:
        """Give seats of a placement."""
        self._flight[server_id] = self.flight(server_id) + seats
        self.taken[placement_id] = self.taken.get(placement_id, 0) + seats

    def seatable(self, placement_id: int) -> bool:
        """Whether a placement may get seats at all: it neither leaves nor runs empty."""
        return placement_id not in self.leaving and placement_id not in self.withheld

    def idle(self, placement: PlacementView) -> bool:
        """Loaded, and nothing in flight nor given."""
        return placement.in_flight == 0 and placement.state is PlacementState.LOADED and placement.id not in self.taken

    def copies(self, model_id: int) -> int:
        """Instances that are loaded, loading or decided on, less those that leave."""
        there = self._copies.get(model_id)
        if there is None:
            there = 0
            for placement in self.state.by_model.get(model_id, ()):
                if placement.state is not PlacementState.UNLOADING:
                    there += 1
            self._copies[model_id] = there
        return there + self.change.get(model_id, 0)

    def busy(self, server_id: int) -> bool:
        """Whether a server is loading, or is promised to a load."""
        return server_id in self.state.loading or server_id in self.promised

    def load_s(self, model_id: int, server: ServerView, offer: OfferView | None = None) -> float:
        """How long a load should take there."""
        if offer is not None and offer.load_s is not None:
            return offer.load_s
        return self.state.models[model_id].need_gb / server.gb_per_s


def liked(server: ServerView, key: str) -> int:
    """0: the server names the model among its preferred ones; 1: it prefers any model; 2: neither."""
    if not server.preferred:
        return 2
    return 0 if key in server.preferred else 1 if "*" in server.preferred else 2


def may(board: Board, pin_id: int | None, offer: OfferView) -> ServerView | None:
    """The server of an offer, if this demand may run there at all (usable, the pin, the format)."""
    server = board.state.servers.get(offer.server_id)
    if server is None or not server.usable or (pin_id is not None and server.id != pin_id):
        return None
    if server.formats and offer.format and offer.format.lower() not in {f.lower() for f in server.formats}:
        return None
    return server
