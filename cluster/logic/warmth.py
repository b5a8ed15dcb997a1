"""What leaves without need, and what comes before anybody asks."""

from dataclasses import replace
from typing import Final

from cluster.logic.balancing import Strategy
from cluster.logic.board import Board, Pressure
from cluster.logic.decision import Load, Unload
from cluster.logic.lifecycle import PlacementState
from cluster.logic.options import Wish, options
from cluster.logic.preload import MENTION_S, likely
from cluster.logic.room import load
from cluster.logic.state import ModelView, PlacementView, PlanPolicy
from cluster.logic.value import Knobs, spare

AHEAD_S: Final = 600.0
"""A model is loaded early if somebody will probably ask for it within so long."""

PROBABLE: Final = 1.0
"""Expected requests within that time, from which on that is so."""

EVEN: Final = 0.5
"""The chance from which on somebody who was mentioned is expected to be asked."""

TRIED: Final = 3
"""So many of the likeliest are tried in one plan."""


def stale(board: Board, knobs: Knobs) -> list[Unload]:
    """Idle placements that may go: one that was told to, a replaced version, a copy too many; without `keep_models_loaded` any unused one."""
    replaced = {model.id for model in board.state.models.values() if model.successor_id is not None and _loaded(board, model.successor_id)}
    before, pressure = board.now - board.policy.unload_delay_s, board.pressure
    barred = {*board.taken, *board.leaving, *board.withheld}  # by what this plan has decided
    found: list[Unload] = []
    unused: list[PlacementView] = []
    for server_id, placements in board.idling.items():
        if server_id not in board.well:
            continue
        for placement in placements:
            model_id = placement.model_id
            if model_id in pressure or placement.id in barred:
                continue
            if placement.dismissed:
                found.append(_leave(board, placement, "somebody told it to leave"))
            elif model_id in replaced:
                found.append(_leave(board, placement, "a newer version of the model has taken its place"))
            elif (placement.used_at or placement.since) <= before:
                unused.append(placement)
    why = f"unused for {board.policy.unload_delay_s:.0f} s"
    if not board.policy.keep_models_loaded:
        return [*found, *(_leave(board, placement, why) for placement in unused)]
    why, spares = f"one copy too many, {why}", dict[int, int]()
    for placement in unused:
        model_id = placement.model_id
        if model_id not in spares:
            spares[model_id] = spare(board.state.models[model_id], board.copies(model_id), knobs.target_free, knobs)
        if spares[model_id]:
            spares[model_id] -= 1
            found.append(_leave(board, placement, why))
    return found


def _leave(board: Board, placement: PlacementView, why: str) -> Unload:
    board.leaving.add(placement.id)
    board.change[placement.model_id] -= 1
    return Unload(placement.id, why)


def _loaded(board: Board, model_id: int) -> bool:
    return any(
        p.state is PlacementState.LOADED and p.id not in board.leaving and board.state.servers[p.server_id].well
        for p in board.state.by_model.get(model_id, ())
    )


def _expected(policy: PlanPolicy, model: ModelView) -> float:
    """How many requests are likely soon enough to load it for them; 0 if too few.

    Where unused models are unloaded, only a mention counts that outlives the delay: what was loaded for a guess would leave unused, and
    be guessed at again.
    """
    mentioned = model.mention * MENTION_S >= EVEN
    if not policy.keep_models_loaded:
        return likely(0.0, 0.0, model.mention, AHEAD_S) if mentioned and policy.unload_delay_s >= MENTION_S else 0.0
    expected = likely(model.rate, model.usual, model.mention, AHEAD_S)
    return expected if mentioned or expected >= PROBABLE else 0.0


def _about(board: Board, model_id: int) -> bool:
    """Whether it is in some memory, or on its way in or out."""
    for placement in board.state.by_model.get(model_id, ()):  # noqa: SIM110 - the plainer is the quicker, and the first is enough
        if placement.server_id in board.well:
            return True
    return False


def kept(board: Board, strategy: Strategy, knobs: Knobs) -> list[Load]:
    """Loads of what is to stay loaded on a server and is not there: into room that there is; nothing goes for it. It is no guess."""
    found = []
    for model_id in sorted(board.state.kept.keys() & board.state.models.keys()):  # a model may be gone that the offers still name
        for offer in board.state.kept[model_id]:
            wish = Wish(model_id, offer.server_id, None, Pressure())
            room = options(board, wish, strategy, knobs, limit=0.0).room
            if room is not None:
                found.append(load(board, wish, board.state.servers[room[-1]], (), "it is to stay loaded there, and there is room"))
    return found


def preload(board: Board, strategy: Strategy, knobs: Knobs) -> list[Load]:
    """At most one load of a model that is likely to be asked for, into room that nobody needs: nothing waits for a load, nothing goes."""
    if board.pressure:
        return []
    ranked = []
    for model in board.state.models.values():
        if _about(board, model.id) or not board.state.offers.get(model.id) or model.successor_id is not None:
            continue
        expected = _expected(board.policy, model)
        if expected:
            ranked.append((-expected, model.id))
    for negative, model_id in sorted(ranked)[:TRIED]:
        wish = Wish(model_id, None, None, Pressure())
        found = options(board, wish, strategy, knobs, limit=0.0)
        if found.room is not None:
            server = board.state.servers[found.room[-1]]
            why = f"nobody asks for it yet, but {-negative:.1f} requests are likely within {AHEAD_S / 60:.0f} minutes, and {server.name} has room"
            return [replace(load(board, wish, server, (), why), preload=True)]
    return []
