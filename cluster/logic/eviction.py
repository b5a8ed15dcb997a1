"""Which idle models make room for another one on a server."""

from dataclasses import dataclass

from cluster.logic.board import NOTHING, Board
from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import PlacementView, ServerView
from cluster.logic.value import Knobs, loss, toil, worth

NEVER = float("inf")
ROUNDING_GB = 1e-6
TRIFLE = 2e-4
"""What a GB is worth that nobody asks for: of two such, the smaller goes."""


OWED_S = 60.0
"""So long what was loaded for somebody is kept for their first answer. Not for ever: it may be one that never answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """The placements that go, and what their going costs, in requests that will be served later."""

    victims: tuple[PlacementView, ...]
    cost: float


def evictable_at(board: Board, placement: PlacementView) -> float:
    """From when an idle placement may go for another model, later if it still owes its first answer; never if busy, pinned or leaving."""
    if placement.pinned or placement.id in board.leaving or not board.idle(placement):
        return NEVER
    owed = not placement.served and board.pressure.get(placement.model_id, NOTHING).waiting
    return placement.since + max(OWED_S if owed else 0.0, board.policy.min_residency_s)


def _ripe(board: Board, server: ServerView, knobs: Knobs) -> list[tuple[float, float, int, float, PlacementView]]:
    """What may go from a server now: what each GB of it is worth, when it was last used, its id, what is lost with it, and itself.

    Half is lost with one that is unused past the unload delay. Several hundred are looked at in a plan: hence all in one loop.
    """
    factor, found = toil(server.gb_per_s, knobs), []
    now, residency, delay = board.now, max(0.0, board.policy.min_residency_s), board.policy.unload_delay_s
    pressure, taken, leaving, (room, elsewhere) = board.pressure, board.taken, board.leaving, board.gap(server.id)
    losses = board.losses.setdefault(elsewhere, {})
    for placement in board.idling[server.id]:
        since, number, model_id = placement.since, placement.id, placement.model_id
        if since + residency > now or number in taken or number in leaving:
            continue
        if not placement.served and evictable_at(board, placement) > now:
            continue
        gb, used = placement.gb, placement.used_at or since
        if model_id not in losses:
            losses[model_id] = loss(board, model_id, room, elsewhere, knobs)
        value = losses[model_id] + TRIFLE * gb
        idle = now - max(used, since)
        if idle > 0:
            most = knobs.quiet / idle * knobs.keep_s + TRIFLE * gb + pressure.get(model_id, NOTHING).waiting
            if most < value:
                value = most
        value *= factor
        if used + delay <= now:
            value /= 2  # it goes before all others
        found.append((value / max(gb, 0.01), used, number, value, placement))
    return found


def floor(board: Board, server: ServerView, knobs: Knobs) -> float:
    """The least worth of a GB that can be freed on a server; infinite if none can."""
    known = board.floors.get(server.id)
    if known is None:
        known = board.floors[server.id] = min([one[0] for one in _ripe(board, server, knobs)], default=NEVER)
    return known


def ripens(board: Board, server: ServerView) -> float:
    """When the next of a server's models will have stayed its time; never if none will."""
    moments = (evictable_at(board, placement) for placement in board.idling[server.id])
    return min((at for at in moments if at > board.now), default=NEVER)


def choose(board: Board, server: ServerView, lack_gb: float, surplus: int, knobs: Knobs) -> Eviction | None:
    """The cheapest set found that frees `lack_gb` and at least `surplus` instances, or None.

    By worth per GB until it is enough, less what that makes needless; or one alone where that is cheaper. Never busy or pinned ones,
    never one within its minimum residency, or that was just loaded for somebody whom it has not served yet.
    """
    ripe = _ripe(board, server, knobs)
    if len(ripe) < surplus or sum([one[-1].gb for one in ripe]) < lack_gb - ROUNDING_GB:
        return None
    ripe.sort()
    taken: list[PlacementView] = []
    freed = 0.0
    for *_, placement in ripe:
        if freed >= lack_gb and len(taken) >= surplus:
            break
        taken.append(placement)
        freed += placement.gb
    if freed < lack_gb or len(taken) < surplus:
        return None
    costs = {pid: cost for _, _, pid, cost, _ in ripe}
    kept = taken
    count = len(taken)
    if count > max(1, surplus):
        kept = []
        for placement in sorted(taken, key=lambda p: (-costs[p.id], -p.gb, p.id)):
            if freed - placement.gb >= lack_gb and count > max(1, surplus):
                freed -= placement.gb
                count -= 1
            else:
                kept.append(placement)
    found = Eviction(victims=tuple(sorted(kept, key=lambda p: p.id)), cost=sum(costs[p.id] for p in kept))
    if surplus <= 1:
        alone = [(cost, used, pid, p) for _, used, pid, cost, p in ripe if cost < found.cost and p.gb >= lack_gb]
        if alone:
            cost, _, _, placement = min(alone)
            found = Eviction(victims=(placement,), cost=cost)
    return found


def emptied(board: Board, server: ServerView, lack_gb: float, surplus: int, quantum: float, knobs: Knobs) -> list[PlacementView] | None:
    """The set that makes room once it has run empty, busy ones among it; None if nothing could.

    For a demand that has waited too long. Who is emptiest goes first, so that the choice stays the same while it runs empty. What was
    loaded less than `quantum` times the duration of its load ago stays, and so does, for a while, what still owes its first answer.
    """
    order = []
    for placement in board.state.by_server[server.id]:
        if (
            placement.state is not PlacementState.LOADED
            or placement.pinned
            or placement.id in board.leaving
            or placement.id in board.withheld
        ):
            continue
        if placement.model_id in board.pressure:
            turn_s = quantum * placement.gb / server.gb_per_s
            if placement.since + (turn_s if placement.served else max(turn_s, OWED_S)) > board.now:
                continue
        order.append((placement.in_flight, worth(board, placement.model_id, knobs), placement.id, placement))
    chosen: list[PlacementView] = []
    freed = 0.0
    for _, _, _, placement in sorted(order, key=lambda o: o[:3]):
        if freed >= lack_gb and len(chosen) >= surplus:
            break
        chosen.append(placement)
        freed += placement.gb
    if freed < lack_gb or len(chosen) < surplus:
        return None
    return chosen
