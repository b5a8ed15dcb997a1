"""What the servers offer to a model that somebody waits for: room as it is, room that is being made, what could go for it.

Two hundred servers are looked at for each wish. Hence those that have the model and may load it are found as sets of ids; one by one only
those with a limit of their own are weighed, those with room, and of the others the few where the least would have to go.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.logic import eviction
from cluster.logic.balancing import Score, Site, Strategy
from cluster.logic.board import Board, Pressure, liked, runs
from cluster.logic.eviction import NEVER, Eviction
from cluster.logic.state import OfferView, ServerView
from cluster.logic.value import Knobs

EPSILON_GB = 1e-9


@dataclass(slots=True)
class Wish:
    """A load that would serve somebody: which model, where it may run, who waits for it, how many copies it has within reach."""

    model_id: int
    pin_id: int | None
    avoid_id: int | None
    pressure: Pressure
    caller: str = ""
    load_s: float = 0.0
    copies: int = 0
    hoped: float = 0.0
    """What it earns where nothing of worth goes for it, in requests."""


@dataclass(slots=True, kw_only=True)
class Options:
    """What the servers offer to a wish: room as it is, or by letting go."""

    room: tuple[bool, bool, Score, int] | None = None
    """The best one's far, to be avoided, the strategy's score, its id."""
    swap: tuple[tuple[bool, bool, float, float, int], ServerView, Eviction] | None = None
    coming: ServerView | None = None
    """Room is being made for it there."""
    until: float = NEVER
    """When a cool-down ends."""
    closed: list[ServerView] = field(default_factory=list)
    """Where nothing may go now, but perhaps soon."""
    seen: int = 0
    """Servers that were weighed."""
    dear: bool = False
    """Somewhere something could go that is worth too much."""


_Full = list[tuple[bool, bool, float, int]]
"""Servers without room: far, to be avoided, the least that letting go could cost, its id."""


@dataclass(slots=True)
class _Ground:
    """The servers that may load the model of a wish now: GB and instances too many there, with one more. None too many is room."""

    offers: Mapping[int, OfferView]
    lacks: dict[int, float]
    overs: dict[int, int]
    """Only of those that have no room."""


def surplus(board: Board, server: ServerView) -> int:
    """How many instances too many there would be with one more, by the server's own limit; what is only told to leave is still there."""
    return 0 if server.max_models is None else len(board.state.by_server[server.id]) + 1 - server.max_models


def options(board: Board, wish: Wish, strategy: Strategy, knobs: Knobs, limit: float = NEVER) -> Options:
    """Look at every server that has the model. Sets that cost `limit` or more are passed over; with 0 only room as it is counts."""
    found = Options()
    ground = _ground(board, wish, found)
    lacks, overs, floors = ground.lacks, ground.overs, board.floors
    full = [server_id for server_id, lack in lacks.items() if lack > 0 or server_id in overs]
    if len(full) < len(lacks):
        _roomy(found, board, wish, strategy, ground)
    if limit <= 0:
        return found
    servers = board.state.servers
    for server_id in full:
        if server_id not in floors and lacks[server_id] > 0:
            eviction.floor(board, servers[server_id], knobs)
    if found.room is None and found.coming is None and full:
        _displace(found, board, wish, ground, full, knobs, limit)
    return found


def _ground(board: Board, wish: Wish, found: Options) -> _Ground:
    """The servers that come into question, counted in `found`; where room is being made is noted there, and when a cool-down ends."""
    state, now, free, servers = board.state, board.now, board.free, board.state.servers
    offers, gb = state.offers.get(wish.model_id, {}), state.models[wish.model_id].need_gb
    open_ = board.ready - board.promised - {p.server_id for p in state.places(wish.model_id, wish.pin_id)}
    ids = open_ & (offers.keys() if wish.pin_id is None else offers.keys() & {wish.pin_id})
    odd = ids & board.odd
    ids = {i for i in ids if gb <= servers[i].budget_gb and (i not in odd or runs(servers[i], offers[i]))}
    cooling = {i: until for i in ids if (until := offers[i].cooldown_until) is not None and until > now}
    if cooling:
        found.until = min(cooling.values())
        ids -= cooling.keys()
    found.seen = len(ids)
    ground = _Ground(offers, {i: gb - free[i] - EPSILON_GB for i in ids}, {})
    for server_id in sorted(odd & ids):
        lack, over = ground.lacks[server_id], surplus(board, servers[server_id])
        if lack <= 0 and over <= 0:
            continue
        if outgoing := board.outgoing.get(server_id):
            lack, over = lack - sum(outgoing), over - len(outgoing)
            if lack <= 0 and over <= 0:
                found.coming = found.coming or servers[server_id]
                del ground.lacks[server_id]
                continue
        ground.lacks[server_id], ground.overs[server_id] = lack, over
    return ground


def _roomy(found: Options, board: Board, wish: Wish, strategy: Strategy, ground: _Ground) -> None:
    """The best server with room as it is."""
    model, servers, fetched = board.state.models[wish.model_id], board.state.servers, board.fetched
    by_server, load, free, flight, need_gb = board.state.by_server, strategy.load, board.free, board.flight, model.need_gb
    scores = []
    for server_id, lack in ground.lacks.items():
        if lack > 0 or server_id in ground.overs:
            continue
        server, load_s = servers[server_id], ground.offers[server_id].load_s
        if server_id not in fetched:
            fetched[server_id] = max([p.since for p in by_server[server_id]], default=0.0)
        weight = server.weight
        site = Site(
            server_id,
            server.name,
            (need_gb / server.gb_per_s if load_s is None else load_s) / weight,
            free[server_id] - need_gb,
            server.budget_gb,
            flight[server_id],
            fetched[server_id],
            weight,
            liked(server, model.key) if server.preferred else 2,
        )
        scores.append((server.far, server_id == wish.avoid_id, load(site), server_id))
    found.room = min(scores)


def _displace(found: Options, board: Board, wish: Wish, ground: _Ground, full: list[int], knobs: Knobs, limit: float) -> None:
    """The cheapest set that may go, over all servers without room: those first where even the cheapest GB cost least."""
    servers, floors, lacks, avoid_id = board.state.servers, board.floors, ground.lacks, wish.avoid_id
    costs = {i: floors[i] * lacks[i] if lacks[i] > 0 else 0.0 for i in full}
    order: _Full = [(servers[i].far, i == avoid_id, cost, i) for i, cost in costs.items() if cost < limit]
    found.closed = [servers[i] for i, cost in costs.items() if cost >= limit and cost == NEVER]
    found.dear = len(order) + len(found.closed) < len(full)
    model = board.state.models[wish.model_id]
    heapq.heapify(order)
    while order:
        far, avoid, least, server_id = heapq.heappop(order)
        if found.swap is not None and (far, avoid, least) > found.swap[0][:3]:
            break
        server = servers[server_id]
        choice = eviction.choose(board, server, max(0.0, lacks[server_id]), max(0, ground.overs.get(server_id, 0)), knobs)
        if choice is None:
            found.closed.append(server)
            continue
        if choice.cost >= limit:
            found.dear = True
            continue
        dislike = 1.0 + 0.25 * liked(server, model.key)
        load_s = board.load_s(model.id, server, ground.offers[server_id]) / server.weight
        swap = (far, avoid, round(choice.cost * dislike, 9), load_s, server_id)
        if found.swap is None or swap < found.swap[0]:
            found.swap = (swap, server, choice)
