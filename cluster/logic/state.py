"""The cluster as the planner sees it: values read from rows at one moment, or kept by a simulation.

Sizes are GB (2³⁰ bytes) of memory, moments and durations seconds on one clock, ids primary keys. The planner changes none of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from cluster.logic.lifecycle import HELD, PlacementState

USUAL_GB_PER_S = 0.5
"""Taken for the speed of a load where none was seen yet."""

USUAL_ANSWER_S = 5.0
"""Taken for an answer's length where nothing was learned yet."""


@dataclass(slots=True, kw_only=True)
class ServerView:
    """One server. `well` is: enabled, not draining, online; `why_not` says what is missing."""

    id: int
    name: str
    budget_gb: float
    """What models may take, the headroom taken off."""
    well: bool = True
    usable: bool = True
    """Enabled and not draining: it may get work once it is well."""
    draining: bool = False
    """Enabled, and gets nothing new for a while."""
    why_not: str = ""
    max_models: int | None = None
    formats: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    weight: float = 1.0
    far: bool = False
    """Not in the region that comes first: a reserve."""
    gb_per_s: float = USUAL_GB_PER_S
    """Learned: how fast it loads."""


@dataclass(slots=True, kw_only=True)
class ModelView:
    """One model: what it needs in memory and what was learned of its demand and its answers."""

    id: int
    key: str
    need_gb: float
    slots: int = 1
    """Answers at once of one more instance, as far as known."""
    rate: float = 0.0
    """Requests a second, recent ones counting more."""
    usual: float = 0.0
    """Requests a second that are usual at this time of the day."""
    mention: float = 0.0
    """Requests a second that are likely because somebody who speaks with it was mentioned."""
    answer_s: float = USUAL_ANSWER_S
    """How long an answer takes, over all servers."""
    successor_id: int | None = None
    """The newer version that answers in its place."""
    wanted_since: float | None = None
    """It is to be loaded to take another one's place: since when."""


@dataclass(slots=True, kw_only=True)
class OfferView:
    """That a server has a model on its disk, and what was learned of the pair; None: nothing yet."""

    server_id: int
    model_id: int
    format: str = ""
    load_s: float | None = None
    answer_s: float | None = None
    spread_s: float | None = None
    answers: float = 0.0
    """How many recent answers that rests on."""
    keep: bool = False
    """It should stay loaded there."""
    cooldown_until: float | None = None
    cooldown_reason: str = ""


@dataclass(slots=True, kw_only=True)
class PlacementView:
    """One instance in memory, or on its way. `in_flight` is the count of its live seats."""

    id: int
    server_id: int
    model_id: int
    state: PlacementState
    gb: float
    slots: int
    in_flight: int = 0
    pinned: bool = False
    since: float
    """When its load was decided, later when it was loaded."""
    used_at: float | None = None
    served: bool = True
    """It has answered since it was loaded."""
    dismissed: bool = False
    """Somebody told it to leave; it goes once it is idle and nobody waits for its model."""

    @property
    def free(self) -> int:
        """Seats that may be given now."""
        return max(0, self.slots - self.in_flight) if self.state is PlacementState.LOADED else 0


@dataclass(slots=True, kw_only=True)
class Demand:
    """What waits for a model, on any server or on the one of `pin`; all of it can still meet its deadline if it starts now.

    `avoid` is the server where it failed last: a warm one elsewhere first. `turn` is the earliest moment whose turn it is (see
    `fairness`), `priority` the first (0 is first), `oldest` the earliest arrival, `deadline` the soonest.
    """

    model_id: int
    pin_id: int | None = None
    avoid_id: int | None = None
    waiting: int
    priority: int = 50
    turn: float
    oldest: float
    deadline: float | None = None
    latest: float | None = None
    """The last deadline; None: the newest request has as much time as the oldest had."""
    timed: int | None = None
    """How many have a deadline; None: all, if one has."""
    caller: str = ""
    """Who waits first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPolicy:
    """The part of the cluster policy that plans depend on. Times are seconds."""

    strategy: str = "expected-time"
    min_residency_s: float = 2.0
    unload_delay_s: float = 300.0
    keep_models_loaded: bool = True
    overdue_s: float = 300.0
    preload: bool = True


class Offers:
    """The offers of all servers, looked up; there may be tens of thousands, and one of these serves many states."""

    __slots__ = ("by_model", "kept")

    def __init__(self, offers: Iterable[OfferView]) -> None:
        self.by_model: defaultdict[int, dict[int, OfferView]] = defaultdict(dict)
        """By model, then by server, in the order of the servers' ids."""
        self.kept: defaultdict[int, list[OfferView]] = defaultdict(list)
        """Those that should stay loaded, by model."""
        for offer in sorted(offers, key=attrgetter("server_id")):
            self.by_model[offer.model_id][offer.server_id] = offer
            if offer.keep:
                self.kept[offer.model_id].append(offer)


class ClusterState:
    """Everything a plan is made from, looked up by id; servers, placements and offers in the order of their ids."""

    __slots__ = ("by_model", "by_server", "disk", "kept", "loading", "models", "offers", "servers", "unloading")

    def __init__(
        self,
        servers: Iterable[ServerView],
        models: Mapping[int, ModelView],
        placements: Iterable[PlacementView],
        offers: Offers | Iterable[OfferView],
        disk: float = 0.0,
    ) -> None:
        self.servers: dict[int, ServerView] = {s.id: s for s in sorted(servers, key=lambda s: s.id)}
        self.models: Mapping[int, ModelView] = models
        self.by_server: dict[int, list[PlacementView]] = {server_id: [] for server_id in self.servers}
        self.by_model: defaultdict[int, list[PlacementView]] = defaultdict(list)
        self.disk = disk
        """The part of their time, 0 … 1, that the servers spent loading lately."""
        self.loading: set[int] = set()
        """Servers that load something now."""
        self.unloading: set[int] = set()
        """Servers that something leaves now."""
        known = offers if isinstance(offers, Offers) else Offers(offers)
        self.offers, self.kept = known.by_model, known.kept
        self.add(*sorted(placements, key=attrgetter("id")))

    def add(self, *placements: PlacementView) -> None:
        """Note instances that hold memory, by their ids, which are higher than those that are there. Others are passed over."""
        by_server, by_model, loaded = self.by_server, self.by_model, PlacementState.LOADED
        for placement in placements:
            state, server_id = placement.state, placement.server_id
            if server_id not in by_server or (state is not loaded and state not in HELD):
                continue
            by_server[server_id].append(placement)
            by_model[placement.model_id].append(placement)
            if state is not loaded:
                (self.loading if state is PlacementState.LOADING else self.unloading).add(server_id)

    def remove(self, placement: PlacementView) -> None:
        """Forget an instance that is gone or failed. Raises ValueError if it is not there."""
        self.by_server[placement.server_id].remove(placement)
        self.by_model[placement.model_id].remove(placement)
        self.settle(placement.server_id)

    def settle(self, server_id: int) -> None:
        """Look again whether a server is loading or unloading, after the state of one of its instances has changed."""
        states = {p.state for p in self.by_server[server_id]}
        for some, state in ((self.loading, PlacementState.LOADING), (self.unloading, PlacementState.UNLOADING)):
            if state in states:
                some.add(server_id)
            else:
                some.discard(server_id)

    def places(self, model_id: int, pin_id: int | None) -> Sequence[PlacementView]:
        """The instances of a model, on one server only if there is a pin."""
        if pin_id is None:
            return self.by_model.get(model_id, ())
        return [p for p in self.by_server.get(pin_id, ()) if p.model_id == model_id]

    def offering(self, model_id: int, pin_id: int | None) -> Collection[OfferView]:
        """The offers of a model, of one server only if there is a pin."""
        found = self.offers.get(model_id)
        if found is None or (pin_id is not None and pin_id not in found):
            return ()
        return found.values() if pin_id is None else (found[pin_id],)

    def all(self) -> Iterable[PlacementView]:
        """Every instance, server by server."""
        return (p for places in self.by_server.values() for p in places)
