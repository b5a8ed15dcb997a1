"""Which idle models make room for another one on a server."""

from dataclasses import dataclass

from cluster.logic.board import NOTHING, Board
from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import PlacementView, ServerView
from cluster.logic.value import Knobs, toil, worth

NEVER = float("inf")
TRIFLE = 2e-4
"""What a GB is worth that nobody asks for: of two such, the smaller goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """The placements that go, and what their going costs, in requests that will be served later."""

    victims: tuple[PlacementView, ...]
    cost: float


def evictable_at(board: Board, placement: PlacementView) -> float:
    """From when an idle placement may go for another model; never if it is busy, pinned, leaving, or still owes its first answer."""
    if placement.pinned or placement.id in board.leaving or not board.idle(placement):
        return NEVER
    if not placement.served and board.pressure.get(placement.model_id, NOTHING).waiting:
        return NEVER
    return placement.since + board.policy.min_residency_s


def density(board: Board, placement: PlacementView, knobs: Knobs) -> float:
    """What each GB of a placement is worth, if it may go now; infinite if it may not."""
    if placement.in_flight or evictable_at(board, placement) > board.now:
        return NEVER
    return _worth(board, placement, knobs) / max(placement.gb, 0.01)


def _worth(board: Board, placement: PlacementView, knobs: Knobs) -> float:
    """What is lost with it; half for one that is unused past the unload delay: it goes before all others."""
    value = worth(board, placement.model_id, knobs) + TRIFLE * placement.gb
    idle = board.now - max(placement.used_at or placement.since, placement.since)
    if idle > 0:
        value = min(
            value, knobs.quiet / idle * knobs.keep_s + TRIFLE * placement.gb + board.pressure.get(placement.model_id, NOTHING).waiting
        )
    stale = (placement.used_at or placement.since) + board.policy.unload_delay_s <= board.now
    value *= toil(board.state.servers[placement.server_id].gb_per_s, knobs)
    return value / 2 if stale else value


def floor(board: Board, server: ServerView, knobs: Knobs) -> float:
    """The least worth of a GB that can be freed on a server; infinite if none can."""
    known = board.floors.get(server.id)
    if known is None:
        known = NEVER
        for placement in board.state.by_server[server.id]:
            if placement.in_flight == 0:
                known = min(known, density(board, placement, knobs))
        board.floors[server.id] = known
    return known


def ripens(board: Board, server: ServerView) -> float:
    """When the next of a server's models will have stayed its time; never if none will."""
    moments = (evictable_at(board, placement) for placement in board.state.by_server[server.id])
    return min((at for at in moments if at > board.now), default=NEVER)


def choose(board: Board, server: ServerView, lack_gb: float, surplus: int, knobs: Knobs) -> Eviction | None:
    """The cheapest set found that frees `lack_gb` and at least `surplus` instances, or None.

    By worth per GB until it is enough, less what that makes needless; or one alone where that is cheaper. Never busy or pinned ones,
    never one within its minimum residency, never one that has not yet served those it was loaded for.
    """
    there = board.state.by_server[server.id]
    ripe = [(d, p.used_at or p.since, p.id, p) for p in there if (d := density(board, p, knobs)) != NEVER]
    taken: list[PlacementView] = []
    freed = 0.0
    for _, _, _, placement in sorted(ripe, key=lambda r: r[:3]):
        if freed >= lack_gb and len(taken) >= surplus:
            break
        taken.append(placement)
        freed += placement.gb
    if freed < lack_gb or len(taken) < surplus:
        return None
    costs = {p.id: _worth(board, p, knobs) for _, _, _, p in ripe}
    kept: list[PlacementView] = []
    count = len(taken)
    for placement in sorted(taken, key=lambda p: (-costs[p.id], -p.gb, p.id)):
        if freed - placement.gb >= lack_gb and count > max(1, surplus):
            freed -= placement.gb
            count -= 1
        else:
            kept.append(placement)
    found = Eviction(victims=tuple(sorted(kept, key=lambda p: p.id)), cost=sum(costs[p.id] for p in kept))
    if surplus <= 1:
        for _, _, _, placement in sorted(ripe, key=lambda r: r[1:3]):
            if placement.gb >= lack_gb and costs[placement.id] < found.cost:
                found = Eviction(victims=(placement,), cost=costs[placement.id])
    return found


def emptied(board: Board, server: ServerView, lack_gb: float, surplus: int, quantum: float, knobs: Knobs) -> list[PlacementView] | None:
    """The set that makes room once it has run empty, busy ones among it; None if nothing could.

    For a demand that has waited too long. Who is emptiest goes first, so that the choice stays the same while it runs empty. What was
    loaded less than `quantum` times the duration of its load ago stays, and so does what still owes its first answer.
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
        if placement.model_id in board.pressure and (
            not placement.served or placement.since + quantum * placement.gb / server.gb_per_s > board.now
        ):
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
