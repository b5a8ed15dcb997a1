"""What leaves without need, and what comes before anybody asks."""

from dataclasses import replace
from itertools import chain
from typing import Final

from cluster.logic.balancing import Strategy
from cluster.logic.board import Board, Pressure
from cluster.logic.decision import Load, Unload
from cluster.logic.lifecycle import PlacementState
from cluster.logic.preload import MENTION_S, likely
from cluster.logic.room import Wish, load, options
from cluster.logic.state import ModelView, PlacementView, PlanPolicy
from cluster.logic.value import Knobs, wanted

AHEAD_S: Final = 600.0
"""A model is loaded early if somebody will probably ask for it within so long."""

PROBABLE: Final = 1.0
"""Expected requests within that time, from which on that is so."""

EVEN: Final = 0.5
"""The chance from which on somebody who was mentioned is expected to be asked."""

TRIED: Final = 3
"""So many of the likeliest are tried in one plan."""


def stale(board: Board, knobs: Knobs) -> list[Unload]:
    """Idle placements that may go: a second instance, a replaced version, a copy too many; without `keep_models_loaded` any unused one."""
    replaced = {model.id for model in board.state.models.values() if model.successor_id is not None and _loaded(board, model.successor_id)}
    before = board.now - board.policy.unload_delay_s
    superfluous: list[tuple[PlacementView, str]] = []
    unused: list[PlacementView] = []
    for placement in chain.from_iterable(board.idling.values()):
        if placement.model_id in board.pressure:
            continue
        if placement.duplicate:
            superfluous.append((placement, "a second instance of the same model on the same server"))
        elif placement.model_id in replaced:
            superfluous.append((placement, "a newer version of the model has taken its place"))
        elif (placement.used_at or placement.since) <= before:
            unused.append(placement)
    found = [_leave(board, placement, why) for placement, why in superfluous if _may_leave(board, placement)]
    for placement in unused:
        why = _unused(board, placement, knobs)
        if why and _may_leave(board, placement):
            found.append(_leave(board, placement, why))
    return found


def _may_leave(board: Board, placement: PlacementView) -> bool:
    """Whether nothing that this plan has decided speaks against it."""
    return placement.id not in board.taken and board.seatable(placement.id) and board.state.servers[placement.server_id].well


def _leave(board: Board, placement: PlacementView, why: str) -> Unload:
    board.leaving.add(placement.id)
    board.change[placement.model_id] -= 1
    return Unload(placement_id=placement.id, why=why)


def _unused(board: Board, placement: PlacementView, knobs: Knobs) -> str:
    """Why one that nobody has used for a while should go; empty if it should not."""
    delay = board.policy.unload_delay_s
    if not board.policy.keep_models_loaded:
        return f"unused for {delay:.0f} s"
    copies = board.copies(placement.model_id)
    if copies > 1 and wanted(board.state.models[placement.model_id], copies - 1, knobs.target_free, knobs) <= copies - 1.5:
        return f"one copy too many, unused for {delay:.0f} s"
    return ""


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
    return any(board.state.servers[p.server_id].well for p in board.state.by_model.get(model_id, ()))


def kept(board: Board, strategy: Strategy, knobs: Knobs) -> list[Load]:
    """Loads of what is to stay loaded on a server and is not there: into room that there is; nothing goes for it. It is no guess."""
    found = []
    for model_id in sorted(board.state.kept.keys() & board.state.models.keys()):  # a model may be gone that the offers still name
        for offer in board.state.kept[model_id]:
            wish = Wish(model_id=model_id, pin_id=offer.server_id, pressure=Pressure())
            room = options(board, wish, strategy, knobs, limit=0.0).room
            if room is not None:
                found.append(load(board, wish, room[1], (), "it is to stay loaded there, and there is room"))
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
        wish = Wish(model_id=model_id, pin_id=None, pressure=Pressure())
        found = options(board, wish, strategy, knobs, limit=0.0)
        if found.room is not None:
            server = found.room[1]
            why = f"nobody asks for it yet, but {-negative:.1f} requests are likely within {AHEAD_S / 60:.0f} minutes, and {server.name} has room"
            return [replace(load(board, wish, server, (), why), preload=True)]
    return []
