"""Where a model that somebody waits for is loaded, and what goes for it: steps 3 to 7 of the planner's tree (`placement` has the whole)."""

from collections.abc import Sequence

from cluster.logic import eviction, value
from cluster.logic.balancing import Strategy
from cluster.logic.board import Board, may
from cluster.logic.decision import Load
from cluster.logic.eviction import NEVER
from cluster.logic.options import Options, Wish, options
from cluster.logic.state import PlacementView, ServerView
from cluster.logic.value import Knobs

SHOWN = 4
"""Reasons that are kept with a decision; of two hundred servers nobody reads all."""

CHEAPER = "waiting is cheaper than a load that displaces others or occupies a busy disk; its weight grows as it waits"


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


def load(board: Board, wish: Wish, server: ServerView, victims: Sequence[PlacementView], why: str, **scores: float) -> Load:
    """Decide on a load, and mark it on the board."""
    gb = board.state.models[wish.model_id].need_gb
    board.promised.add(server.id)
    board.coming[wish.model_id].append(server.id)
    board.leaving.update(p.id for p in victims)
    board.free[server.id] -= gb - sum(p.gb for p in victims)
    for placement in victims:
        board.change[placement.model_id] -= 1
        board.forget(placement.model_id)
    board.change[wish.model_id] += 1
    board.forget(wish.model_id)
    if any(server.id == roomy for _, roomy in board.gaps or ()):
        board.gaps = None
        board.losses.clear()
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
    free = board.free
    return max([free[server_id] for server_id in board.ready - board.promised], default=0.0)


def best(board: Board, wish: Wish, strategy: Strategy, knobs: Knobs) -> tuple[Load | tuple[str, float], int]:
    """The load that fulfils a wish, or why there is none now and when to look again; and how many servers came into question."""
    model = board.state.models[wish.model_id]
    hoped = wish.hoped
    if hoped <= 0:
        return (_useless(board, wish), NEVER), 0
    strain, theta = value.strain(board.state.disk, knobs), value.reluctance(board.state.disk, knobs)
    found = options(board, wish, strategy, knobs, limit=hoped / theta)
    if found.coming and not found.room:
        board.promised.add(found.coming.id)
        return (f"room for {model.key} is being made on {found.coming.name}", NEVER), found.seen
    victims: tuple[PlacementView, ...] = ()
    cost = 0.0
    if found.room:
        server, price = board.state.servers[found.room[-1]], knobs.price_free
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
    cycle_s = value.cycle(board, knobs) if wish.pressure.timed else 0.0
    return value.first(model, wish.pressure, wish.load_s, board.now, cycle_s, knobs)


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
