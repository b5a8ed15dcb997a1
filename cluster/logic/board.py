"""The planner's working copy of the cluster: the state, with what the plan has already decided marked on it."""

from collections import defaultdict
from dataclasses import dataclass, field

from cluster.logic.lifecycle import HELD, PlacementState
from cluster.logic.state import ClusterState, Demand, OfferView, PlacementView, ServerView


@dataclass(slots=True)
class Board:
    """The state with the plan's own decisions marked on it, so that a later demand sees what an earlier one took."""

    state: ClusterState
    servers: dict[int, ServerView]
    offers: dict[int, list[OfferView]]
    by_server: dict[int, list[PlacementView]]
    by_model: dict[int, list[PlacementView]]
    before: list[Demand] = field(default_factory=list)
    """The demands that were decided already: the more urgent ones."""
    coming: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The servers that this plan has load a model."""
    taken: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    loading: set[int] = field(default_factory=set)
    leaving: set[int] = field(default_factory=set)
    reserved: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    def free_gb(self, server: ServerView) -> float:
        """Memory that nothing holds and this plan has not promised."""
        return server.budget_gb - sum(p.gb for p in self.by_server[server.id]) - self.reserved[server.id]

    def free_slots(self, placement: PlacementView) -> int:
        return 0 if placement.id in self.leaving else placement.free - self.taken[placement.id]

    def in_flight(self, server_id: int) -> int:
        return sum(p.in_flight + self.taken[p.id] for p in self.by_server[server_id])

    def wanted(self, server_id: int) -> frozenset[int]:
        """The models that somebody more urgent waits for, who may be served by this server."""
        return frozenset(d.model_id for d in self.before if d.pin_id in (None, server_id))


def board(state: ClusterState) -> Board:
    """A fresh board, in one order whatever order the rows came in."""
    by_server: dict[int, list[PlacementView]] = defaultdict(list)
    by_model: dict[int, list[PlacementView]] = defaultdict(list)
    for placement in sorted(state.placements, key=lambda p: p.id):
        if placement.state in HELD:
            by_server[placement.server_id].append(placement)
            by_model[placement.model_id].append(placement)
    offers: dict[int, list[OfferView]] = defaultdict(list)
    for offer in sorted(state.offers, key=lambda o: o.server_id):
        offers[offer.model_id].append(offer)
    return Board(
        state=state,
        servers={s.id: s for s in state.servers},
        offers=offers,
        by_server=by_server,
        by_model=by_model,
        loading={p.server_id for p in state.placements if p.state is PlacementState.LOADING},
    )


def may(board: Board, need: Demand, offer: OfferView) -> ServerView | None:
    """The server of an offer, if this demand may run there at all (usable, the pin, the format)."""
    server = board.servers.get(offer.server_id)
    if server is None or not server.usable or (need.pin_id is not None and server.id != need.pin_id):
        return None
    if server.formats and offer.format and offer.format.lower() not in {f.lower() for f in server.formats}:
        return None
    return server
