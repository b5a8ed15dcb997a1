"""Where a model that somebody waits for can be loaded: steps 3 to 7 of the planner's tree (`placement` has the whole)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cluster.logic import eviction
from cluster.logic.board import Board, may
from cluster.logic.decision import Load, Wait
from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import Demand, OfferView, PlacementView, PlanPolicy, ServerView

USUAL_GB_PER_S = 0.5
"""Taken for the speed of a load where none was seen yet."""


def room(board: Board, need: Demand, policy: PlanPolicy, now: datetime, *, warm: bool) -> Load | Wait:
    """Steps 3 to 7: what to do for a demand that still has somebody waiting."""
    model = board.state.models[need.model_id]

    def wait(until: datetime | None, why: str) -> Wait:
        return Wait(model_id=need.model_id, pin_id=need.pin_id, until=until, why=why)

    here = [p for p in board.by_model[need.model_id] if need.pin_id in (None, p.server_id)]
    coming = [p.server_id for p in here if p.state is PlacementState.LOADING and board.servers[p.server_id].well]
    coming += [server_id for server_id in board.coming[need.model_id] if need.pin_id in (None, server_id)]
    if coming:
        return wait(None, f"{model.key} is loading on {board.servers[coming[0]].name}")
    if any(p.state is PlacementState.LOADED and p.id not in board.leaving and board.servers[p.server_id].well for p in here) or warm:
        return wait(None, f"{model.key} is loaded, and all its slots are taken")
    options = _options(board, need, policy, now)
    if options.coming:
        return wait(None, options.coming)
    if options.fits:
        server = min(options.fits, key=lambda pair: pair[0])[1]
        return _load(board, need, server, (), f"{server.name} has room ({board.free_gb(server):.1f} GB free) and is ready soonest")
    if options.swaps:
        _, server, victims = min(options.swaps, key=lambda triple: triple[0])
        gone = ", ".join(board.state.models[p.model_id].key for p in victims)
        return _load(board, need, server, victims, f"room on {server.name} by letting go {gone} (idle, least recently used)")
    why = "; ".join(options.reasons) or "no server that could hold it has been seen with it yet"
    return wait(min(options.until, default=None), why)


@dataclass(slots=True, kw_only=True)
class _Options:
    """Where a model could be loaded now, each with its score (the lowest is best), and why it could not elsewhere."""

    fits: list[tuple[tuple[float, ...], ServerView]] = field(default_factory=list)
    swaps: list[tuple[tuple[float, ...], ServerView, tuple[PlacementView, ...]]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    until: list[datetime] = field(default_factory=list)
    coming: str = ""
    """Room that is already being made for it."""


def _options(board: Board, need: Demand, policy: PlanPolicy, now: datetime) -> _Options:
    options = _Options()
    for offer in board.offers[need.model_id]:
        server = may(board, need, offer)
        if server is None or board.state.models[need.model_id].need_gb > server.budget_gb:
            continue
        obstacle = _obstacle(board, server, offer, now)
        if not obstacle:
            _weigh(options, board, need, offer, server, policy, now)
            continue
        options.reasons.append(obstacle)
        if offer.cooldown_until and offer.cooldown_until > now:
            options.until.append(offer.cooldown_until)
    return options


def _weigh(options: _Options, board: Board, need: Demand, offer: OfferView, server: ServerView, policy: PlanPolicy, now: datetime) -> None:
    """Add one server to the options: with room as it is, with room after evicting, or with the reason against it."""
    model = board.state.models[need.model_id]
    seconds = (offer.load_seconds or model.need_gb / USUAL_GB_PER_S) / server.weight
    liking = 0.0 if model.key in server.preferred else 1.0 if "*" in server.preferred else 2.0
    lack, surplus = model.need_gb - board.free_gb(server), _surplus(board, server)
    if lack <= 0 and surplus <= 0:
        options.fits.append(((liking, seconds, -board.free_gb(server), float(server.id)), server))
        return
    leaving = [p.gb for p in board.by_server[server.id] if p.state is PlacementState.UNLOADING]
    lack, surplus = lack - sum(leaving), surplus - len(leaving)
    if lack <= 0 and surplus <= 0:
        options.coming = options.coming or f"room for {model.key} is being made on {server.name}"
        return
    there = [p for p in board.by_server[server.id] if p.id not in board.leaving and board.taken[p.id] == 0]
    choice = eviction.choose(there, max(0.0, lack), policy, now, board.wanted(server.id), instances=max(0, surplus))
    if choice.victims:
        delay = timedelta(seconds=policy.unload_delay_s)
        fresh = any((p.used_at or p.since) + delay > now for p in choice.victims)
        options.swaps.append(((float(fresh), liking, choice.cost_gb, seconds, float(server.id)), server, choice.victims))
        return
    options.reasons.append(f"{server.name}: what could make room is busy, pinned, wanted or just loaded")
    if choice.until:
        options.until.append(choice.until)


def _obstacle(board: Board, server: ServerView, offer: OfferView, now: datetime) -> str:
    if not server.well:
        return f"{server.name} {server.why_not or 'is not well'}"
    if server.id in board.loading:
        return f"{server.name} is loading another model"
    if offer.cooldown_until and offer.cooldown_until > now:
        return f"{server.name} failed to load it: {offer.cooldown_reason}"
    return ""


def _surplus(board: Board, server: ServerView) -> int:
    """How many instances too many there would be with one more, by the server's own limit."""
    if server.max_models is None:
        return 0
    held = sum(1 for p in board.by_server[server.id] if p.id not in board.leaving)
    return held + 1 - server.max_models


def _load(board: Board, need: Demand, server: ServerView, victims: Sequence[PlacementView], why: str) -> Load:
    gb = board.state.models[need.model_id].need_gb
    board.loading.add(server.id)
    board.coming[need.model_id].append(server.id)
    board.leaving.update(p.id for p in victims)
    board.reserved[server.id] += gb - sum(p.gb for p in victims)
    return Load(model_id=need.model_id, server_id=server.id, gb=gb, evict=tuple(p.id for p in victims), why=why)
