"""Where a model that somebody waits for is loaded, and what goes for it: steps 3 to 7 of the planner's tree (`placement` has the whole)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cluster.logic import eviction, value
from cluster.logic.balancing import Site, Strategy
from cluster.logic.board import Board, Pressure, liked, may, runs
from cluster.logic.decision import Load
from cluster.logic.eviction import NEVER, Eviction
from cluster.logic.state import ModelView, OfferView, PlacementView, ServerView
from cluster.logic.value import Knobs

EPSILON_GB = 1e-9
SHOWN = 4
"""Reasons that are kept with a decision; of two hundred servers nobody reads all."""

CHEAPER = "waiting is cheaper than a load that displaces others or occupies a busy disk; its weight grows as it waits"


@dataclass(slots=True, kw_only=True)
class Wish:
    """A load that would serve somebody: which model, where it may run, who waits for it, how many copies it has within reach."""

    model_id: int
    pin_id: int | None
    avoid_id: int | None = None
    pressure: Pressure
    load_s: float = 0.0
    copies: int = 0
    caller: str = ""


@dataclass(slots=True, kw_only=True)
class Options:
    """What the servers offer to a wish: room as it is, or by letting go."""

    room: tuple[tuple[object, ...], ServerView] | None = None
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


_Full = tuple[bool, bool, float, int, float, int, ServerView, OfferView]
"""A server without room: far, to be avoided, the least that letting go could cost, its id, GB and instances too many, itself, the offer."""


def surplus(board: Board, server: ServerView) -> int:
    """How many instances too many there would be with one more, by the server's own limit; what is only told to leave is still there."""
    return 0 if server.max_models is None else len(board.state.by_server[server.id]) + 1 - server.max_models


def options(board: Board, wish: Wish, strategy: Strategy, knobs: Knobs, limit: float = NEVER) -> Options:
    """Look at every server that has the model. Sets that cost `limit` or more are passed over; with 0 only room as it is counts."""
    found = Options()
    state, model = board.state, board.state.models[wish.model_id]
    shut = {p.server_id for p in state.places(wish.model_id, wish.pin_id)} | state.loading | board.promised
    full: list[_Full] = []
    for offer in state.offering(wish.model_id, wish.pin_id):
        server_id = offer.server_id
        server = None if server_id in shut else state.servers.get(server_id)
        if server is None or not server.well or model.need_gb > server.budget_gb or (server.formats and not runs(server, offer)):
            continue
        if offer.cooldown_until is not None and offer.cooldown_until > board.now:
            found.until = min(found.until, offer.cooldown_until)
            continue
        found.seen += 1
        left, over = board.free[server_id] - model.need_gb, 0 if server.max_models is None else surplus(board, server)
        last = (server.far, server_id == wish.avoid_id)
        if left >= -EPSILON_GB and over <= 0:
            score = (*last, strategy.load(_site(board, model.key, server, offer, left)), server_id)
            if found.room is None or score < found.room[0]:
                found.room = (score, server)
            continue
        lack = -left - EPSILON_GB
        if outgoing := board.outgoing.get(server_id):
            lack, over = lack - sum(outgoing), over - len(outgoing)
            if lack <= 0 and over <= 0:
                found.coming = found.coming or server
                continue
        if limit <= 0:
            continue
        least = eviction.floor(board, server, knobs) * lack if lack > 0 else 0.0
        if least < limit:
            full.append((*last, least, server_id, max(0.0, lack), max(0, over), server, offer))
        elif least < NEVER:
            found.dear = True
        else:
            found.closed.append(server)
    if found.room is None and found.coming is None:
        _displace(found, board, model, full, knobs, limit)
    return found


def _displace(found: Options, board: Board, model: ModelView, full: list[_Full], knobs: Knobs, limit: float) -> None:
    """The cheapest set that may go, over all servers without room: those first where even the cheapest GB cost least."""
    for far, avoid, least, _, lack, over, server, offer in sorted(full, key=lambda one: one[:4]):
        if found.swap is not None and (far, avoid, least) > found.swap[0][:3]:
            break
        choice = eviction.choose(board, server, lack, over, knobs)
        if choice is None:
            found.closed.append(server)
            continue
        if choice.cost >= limit:
            found.dear = True
            continue
        dislike = 1.0 + 0.25 * liked(server, model.key)
        swap = (far, avoid, round(choice.cost * dislike, 9), board.load_s(model.id, server, offer) / server.weight, server.id)
        if found.swap is None or swap < found.swap[0]:
            found.swap = (swap, server, choice)


def obstacles(board: Board, wish: Wish) -> list[str]:
    """Why the servers that have the model do not load it now."""
    reasons = []
    for offer in board.state.offering(wish.model_id, wish.pin_id):
        server = may(board, offer)
        if server is None or board.state.models[wish.model_id].need_gb > server.budget_gb:
            continue
        if not server.well:
            reasons.append(f"{server.name} {server.why_not or 'is not well'}")
        elif board.busy(server.id):
            reasons.append(f"{server.name} is loading another model")
        elif offer.cooldown_until and offer.cooldown_until > board.now:
            reasons.append(f"{server.name} failed to load it: {offer.cooldown_reason}")
        elif any(p.model_id == offer.model_id for p in board.state.by_server[server.id]):
            reasons.append(f"{server.name} has it already")
        else:
            reasons.append(f"{server.name}: what could make room is busy, pinned, or just loaded")
        if len(reasons) > SHOWN:
            return [*reasons[:SHOWN], "and so on"]
    return reasons


def _site(board: Board, key: str, server: ServerView, offer: OfferView, left_gb: float) -> Site:
    there = board.state.by_server[server.id]
    return Site(
        server_id=server.id,
        server=server.name,
        load_s=board.load_s(offer.model_id, server, offer) / server.weight,
        free_gb=left_gb,
        budget_gb=server.budget_gb,
        in_flight=board.flight[server.id],
        loaded_at=max((p.since for p in there), default=0.0),
        weight=server.weight,
        liking=liked(server, key),
    )


def load(board: Board, wish: Wish, server: ServerView, victims: Sequence[PlacementView], why: str, **scores: float) -> Load:
    """Decide on a load, and mark it on the board."""
    gb = board.state.models[wish.model_id].need_gb
    board.promised.add(server.id)
    board.coming[wish.model_id].append(server.id)
    board.leaving.update(p.id for p in victims)
    board.free[server.id] -= gb - sum(p.gb for p in victims)
    for placement in victims:
        board.change[placement.model_id] -= 1
        board.worths.pop(placement.model_id, None)
    board.change[wish.model_id] += 1
    board.worths.pop(wish.model_id, None)
    for other in board.state.by_model.get(wish.model_id, ()):  # worth less now; what victims leave behind is only worth more
        board.floors.pop(other.server_id, None)
    return Load(
        model_id=wish.model_id,
        server_id=server.id,
        gb=gb,
        evict=tuple(p.id for p in victims),
        caller=wish.caller,
        why=why,
        seconds=board.load_s(wish.model_id, server),
        scores={name: round(score, 3) for name, score in scores.items()},
    )


def widest(board: Board) -> float:
    """GB of the largest room on a server that is well and not loading."""
    servers = board.state.servers
    return max((gb for server_id, gb in board.free.items() if servers[server_id].well and not board.busy(server_id)), default=0.0)


def best(board: Board, wish: Wish, strategy: Strategy, knobs: Knobs) -> tuple[Load | tuple[str, float], int]:
    """The load that fulfils a wish, or why there is none now and when to look again; and how many servers came into question."""
    model = board.state.models[wish.model_id]
    strain, theta = value.strain(board.state.disk, knobs), value.reluctance(board.state.disk, knobs)
    hoped = earned(board, wish, knobs, knobs.target_free)
    if hoped <= 0:
        return (_useless(board, wish), NEVER), 0
    found = options(board, wish, strategy, knobs, limit=hoped / theta)
    if found.coming and not found.room:
        board.promised.add(found.coming.id)
        return (f"room for {model.key} is being made on {found.coming.name}", NEVER), found.seen
    victims: tuple[PlacementView, ...] = ()
    cost = 0.0
    if found.room:
        server, price = found.room[1], knobs.price_free
    elif found.swap:
        server, victims, cost = found.swap[1], found.swap[2].victims, found.swap[2].cost
        price = knobs.price_free
        if cost >= knobs.spare * len(victims):
            hoped = earned(board, wish, knobs, knobs.target)
            lasting = value.wanted(model, wish.copies, knobs.target, knobs) - wish.copies >= knobs.lasting
            price = knobs.price if not wish.copies else knobs.price_free if lasting else knobs.price_copy
    else:
        until = min([found.until, *(eviction.ripens(board, server) for server in found.closed)])
        return (_closed(board, wish, found), until), found.seen
    bar = cost * theta + price * strain * value.crowd(board, knobs) * model.need_gb * value.toil(server.gb_per_s, knobs)
    if hoped <= bar:
        return (CHEAPER, NEVER), found.seen
    gone = ", ".join(board.state.models[p.model_id].key for p in victims)
    copy = "one more copy, " if wish.copies else ""
    free = f"{server.name} has room ({board.free[server.id]:.1f} GB free) and is best of {found.seen} by {board.policy.strategy}"
    swap = f"room on {server.name} by letting go {gone} (idle, and least missed)"
    return load(board, wish, server, victims, copy + (swap if victims else free), gain=hoped, cost=cost, bar=bar), found.seen


def earned(board: Board, wish: Wish, knobs: Knobs, target: float) -> float:
    """What fulfilling a wish earns, in requests."""
    model = board.state.models[wish.model_id]
    if wish.copies:
        return value.more(model, wish.copies, wish.pressure, wish.load_s, board.now, knobs, target)
    return value.first(model, wish.pressure, wish.load_s, board.now, board.state.disk, knobs)


def _useless(board: Board, wish: Wish) -> str:
    key = board.state.models[wish.model_id].key
    if wish.copies:
        return f"{key} is loaded, and all its slots are taken: waiting is cheaper than another copy"
    return f"{key} would be loaded too late for those who wait ({wish.load_s:.0f} s)"


def _closed(board: Board, wish: Wish, found: Options) -> str:
    """Why no server came into question; where something could go that is worth too much, that."""
    if found.dear:
        return CHEAPER
    return "; ".join(obstacles(board, wish)) or "no server that could hold it has been seen with it yet"
