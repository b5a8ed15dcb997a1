"""The planner: from what waits and what is loaded to seats, loads and evictions, each with its reason.

For every demand, the most urgent first:

1. no enabled server could ever hold the model        → Impossible
2. a warm placement has a free slot                   → Seat, the best by the policy's strategy
3. the model is already loading, or room is being made → Wait; nothing is loaded twice for one demand
4. warm but full                                      → Wait for a slot
5. a server has room                                  → Load where it is ready soonest
6. room appears by evicting idle placements           → Load with that set, server and set chosen together
7. everything that could go is busy or loading        → Wait

Pure: no clock, no dice, no log. Equal input gives an equal plan, in whatever order rows come.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from cluster.logic import balancing
from cluster.logic.board import Board, may
from cluster.logic.board import board as start
from cluster.logic.decision import Impossible, Load, Plan, Seat, Unload, Wait
from cluster.logic.lifecycle import PlacementState
from cluster.logic.room import room
from cluster.logic.state import ClusterState, Demand, OfferView, PlacementView, PlanPolicy


def plan(state: ClusterState, demand: Sequence[Demand], policy: PlanPolicy, now: datetime) -> Plan:
    """Decide for all of `demand` at once. Raises KeyError if the policy's strategy is not registered."""
    board = start(state)
    urgent = sorted(demand, key=lambda d: (d.priority, d.oldest, d.model_id, d.pin_id or 0, d.avoid_id or 0))
    seats: list[Seat] = []
    loads: list[Load] = []
    waits: list[Wait] = []
    impossible: list[Impossible] = []
    for need in urgent:
        hopeless = _hopeless(board, need)
        if hopeless:
            impossible.append(Impossible(model_id=need.model_id, pin_id=need.pin_id, why=hopeless))
            continue
        given = _seats(board, need, policy)
        seats.extend(given)
        if sum(seat.n for seat in given) < need.waiting:
            step = room(board, need, policy, now, warm=bool(given))
            if isinstance(step, Load):
                loads.append(step)
            else:
                waits.append(step)
        board.before.append(need)
    unloads = () if policy.keep_models_loaded else tuple(_stale(board, policy, now))
    return Plan(seats=tuple(seats), loads=tuple(loads), unloads=unloads, waits=tuple(waits), impossible=tuple(impossible))


def _hopeless(board: Board, need: Demand) -> str:
    """Step 1: why no server could ever serve this demand; empty if one could. A server that drains will be back."""
    model = board.state.models[need.model_id]
    enabled = [s for s in board.servers.values() if s.usable or s.draining]
    here = {s.id for s in enabled if need.pin_id in (None, s.id)}
    if any(p.server_id in here for p in board.by_model[need.model_id]):
        return ""
    if not enabled:
        return "No server is enabled. Add one, or enable one, in the admin."
    if not here:
        name = board.servers[need.pin_id].name if need.pin_id in board.servers else "a server that is gone"
        return f"It may only run on {name}, which is disabled. Enable it, or take away the pin."
    offers = board.offers[need.model_id]
    offering = {o.server_id for o in offers}
    if any(not s.well and s.id in here and (s.draining or s.id not in offering) for s in enabled):
        return ""  # a server that was not seen yet, or is away, may have it
    if not offers:
        return (
            f"No server has the model {model.key}. Download it on one of {', '.join(sorted(s.name for s in enabled))}, or correct the name."
        )
    allowed = [server for offer in offers if (server := may(board, need, offer))]
    if not allowed:
        return f"The model {model.key} is on no server where it may run (pin, format, enabled)."
    largest = max(allowed, key=lambda s: (s.budget_gb, -s.id))
    if model.need_gb > largest.budget_gb:
        return (
            f"{model.key} needs {model.need_gb:.1f} GB, and {largest.name}, the largest server that has it, can give {largest.budget_gb:.1f} GB."
            " Load it with a smaller context, use a smaller quantization, or raise the server's budget."
        )
    return ""


def _seats(board: Board, need: Demand, policy: PlanPolicy) -> list[Seat]:
    """Step 2: seats on warm placements, one at a time to the best."""
    given: dict[int, int] = defaultdict(int)
    first: dict[int, tuple[dict[str, object], ...]] = {}
    warm = [p for p in board.by_model[need.model_id] if board.servers[p.server_id].well and need.pin_id in (None, p.server_id)]
    others = [p for p in warm if p.state is PlacementState.LOADED and p.server_id != need.avoid_id]
    places = {p.id: p for p in (others or warm)}
    preferred = {o.server_id: o for o in board.offers[need.model_id]}
    for _ in range(need.waiting):
        open_places = [p for p in places.values() if board.free_slots(p) > 0]
        if not open_places:
            break
        candidates = [_candidate(board, p, preferred.get(p.server_id)) for p in open_places]
        order = balancing.ranked(policy.strategy, candidates)
        best = order[0][1]
        board.taken[best.placement_id] += 1
        given[best.placement_id] += 1
        if best.placement_id not in first:
            first[best.placement_id] = tuple({"server": c.server, "score": [round(x, 3) for x in score]} for score, c in order[:5])
    return [
        Seat(
            model_id=need.model_id,
            pin_id=need.pin_id,
            placement_id=pid,
            server_id=places[pid].server_id,
            n=n,
            avoid_id=need.avoid_id,
            why=f"warm on {board.servers[places[pid].server_id].name} with a free slot; best of {len(first[pid])} by {policy.strategy}",
            candidates=first[pid],
        )
        for pid, n in given.items()
    ]


def _candidate(board: Board, placement: PlacementView, offer: OfferView | None) -> balancing.Candidate:
    server = board.servers[placement.server_id]
    key = board.state.models[placement.model_id].key
    return balancing.Candidate(
        placement_id=placement.id,
        server_id=server.id,
        server=server.name,
        in_flight=placement.in_flight + board.taken[placement.id],
        turns=board.taken[placement.id],
        slots=placement.slots,
        server_in_flight=board.in_flight(server.id),
        free_gb=board.free_gb(server),
        budget_gb=server.budget_gb,
        answer_seconds=offer.answer_seconds if offer else None,
        weight=server.weight,
        preferred=key in server.preferred or "*" in server.preferred,
        used_at=placement.used_at,
    )


def _stale(board: Board, policy: PlanPolicy, now: datetime) -> list[Unload]:
    """Without `keep_models_loaded`: idle placements that nobody used for the unload delay."""
    delay = timedelta(seconds=policy.unload_delay_s)
    return [
        Unload(placement_id=p.id, why=f"unused for {policy.unload_delay_s:.0f} s")
        for places in board.by_server.values()
        for p in places
        if p.state is PlacementState.LOADED
        and not p.pinned
        and p.in_flight == 0
        and board.taken[p.id] == 0
        and p.id not in board.leaving
        and p.model_id not in board.wanted(p.server_id)
        and board.servers[p.server_id].well
        and (p.used_at or p.since) + delay <= now
    ]
