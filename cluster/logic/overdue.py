"""Who waits too long past their turn comes first: whatever can go makes room for them, busy models once they have run empty.

This is what bounds every wait. Without it a model that is asked for without pause could keep another one out for ever.
"""

from cluster.logic.board import Board, may
from cluster.logic.decision import Load, Wait
from cluster.logic.eviction import emptied
from cluster.logic.lifecycle import PlacementState
from cluster.logic.options import EPSILON_GB, Wish, surplus
from cluster.logic.room import load
from cluster.logic.state import Demand, PlacementView, ServerView
from cluster.logic.value import Knobs

QUANTUM = 2.0
"""What was loaded for somebody stays for so many times the duration of its load before it must run empty for another."""


def loads(board: Board, urgent: list[Demand], knobs: Knobs) -> tuple[list[Load], list[Wait]]:
    """Loads for the demands that are overdue and have their model nowhere, by turn; and for which of them something runs empty."""
    done: list[Load] = []
    waits: list[Wait] = []
    if not urgent or urgent[0].turn + board.policy.overdue_s > board.now:
        return done, waits
    board.press((need, need.waiting) for need in urgent)
    for need in urgent:
        if need.turn + board.policy.overdue_s > board.now:
            break
        if _on_its_way(board, need):
            continue
        step = _force(board, need, knobs)
        if isinstance(step, Load):
            done.append(step)
        elif step:
            waits.append(Wait(model_id=need.model_id, pin_id=need.pin_id, until=None, why=step))
    return done, waits


def _on_its_way(board: Board, need: Demand) -> bool:
    here = board.state.places(need.model_id, need.pin_id)
    if any(p.state is not PlacementState.UNLOADING and board.state.servers[p.server_id].well for p in here):
        return True
    return any(need.pin_id in (None, server_id) for server_id in board.coming.get(need.model_id, ()))


def _force(board: Board, need: Demand, knobs: Knobs) -> Load | str:
    """The load for an overdue demand; or what runs empty for it; or an empty text if no server comes into question now."""
    model = board.state.models[need.model_id]
    best: tuple[tuple[object, ...], ServerView, list[PlacementView]] | None = None
    coming: ServerView | None = None
    for offer in board.state.offering(need.model_id, need.pin_id):
        server = may(board, offer)
        if server is None or not server.well or board.busy(server.id) or model.need_gb > server.budget_gb:
            continue
        if (offer.cooldown_until or 0.0) > board.now:
            continue
        lack, over = model.need_gb - EPSILON_GB - board.free[server.id], surplus(board, server)
        there = board.state.by_server[server.id]
        leaving = [p for p in there if p.state is PlacementState.UNLOADING]
        if any(p.model_id == model.id for p in leaving) or (leaving and lack > 0 >= lack - sum(p.gb for p in leaving)):
            coming = coming or server
            continue
        chosen = [] if lack <= 0 and over <= 0 else emptied(board, server, max(0.0, lack), max(0, over), QUANTUM, knobs)
        if chosen is None:
            continue
        score = (server.far, sum(p.in_flight for p in chosen), sum(p.gb for p in chosen), server.id)
        if best is None or score < best[0]:
            best = (score, server, chosen)
    if coming and (best is None or best[2]):
        board.promised.add(coming.id)
        return f"room for {model.key} is being made on {coming.name}"
    if best is None:
        return ""
    _, server, chosen = best
    wish = Wish(model.id, need.pin_id, None, board.pressure[model.id], need.caller)
    if all(board.idle(p) for p in chosen):
        return load(board, wish, server, chosen, f"overdue: it has waited {board.now - need.turn:.0f} s past its turn")
    board.promised.add(server.id)
    board.withheld.update(p.id for p in chosen)
    names = ", ".join(board.state.models[p.model_id].key for p in chosen)
    return f"overdue: {names} on {server.name} gets nothing more and leaves when it has finished"
