"""The planner: from what waits and what is loaded to seats, loads and evictions, each with its reason.

::

    1. no enabled server could ever hold the model         → Impossible
    2. a warm placement has a free slot                    → Seat, the best by the policy's strategy
    3. the model is already loading, or room is being made → Wait; nothing is loaded twice for one demand
    4. warm but full, and waiting is cheaper than a copy   → Wait; otherwise a copy is a Load like any other
    5. a server has room                                   → Load on the best by the strategy
    6. room appears by evicting idle placements            → Load with that set; server and set chosen together, for the least cost
    7. everything that could go is busy, loading or worth more, or the load would come too late → Wait

Seats go by turn. Loads go by what they earn for each GB from disk (`value`). A demand that is overdue comes before all that: busy
models run empty for it, so that nobody waits for ever. What is idle too long leaves; what is likely to be wanted comes early (`warmth`).

Pure: no clock, no dice, no log. Equal input gives an equal plan, in whatever order rows come.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from cluster.logic import balancing, overdue, warmth
from cluster.logic.board import Board, Pressure
from cluster.logic.decision import Impossible, Load, Plan, Seat, Wait
from cluster.logic.eviction import NEVER
from cluster.logic.hopeless import hopeless
from cluster.logic.lifecycle import PlacementState
from cluster.logic.options import Wish
from cluster.logic.room import best, earned, widest
from cluster.logic.seating import seats
from cluster.logic.state import USUAL_GB_PER_S, ClusterState, Demand, PlanPolicy
from cluster.logic.value import KNOBS, TOP, Knobs

ALL: Final = 1 << 30
LOOKED_AT: Final = 4
"""So many servers tell how long a load takes; of two hundred nearly all tell the same."""


def plan(
    state: ClusterState,
    demand: Sequence[Demand],
    policy: PlanPolicy,
    now: float,
    capacity: int | None = None,
    strategies: Mapping[str, balancing.Strategy] = balancing.STRATEGIES,
    knobs: Knobs = KNOBS,
) -> Plan:
    """Decide for all of `demand` at once, giving at most `capacity` seats. Raises KeyError if the policy's strategy is not registered."""
    strategy = balancing.find(policy.strategy, strategies)
    board = Board(state=state, policy=policy, now=now)
    impossible: list[Impossible] = []
    urgent: list[Demand] = []
    for need in sorted(demand, key=lambda d: (d.turn, d.priority, d.oldest, d.model_id, d.pin_id or 0, d.avoid_id or 0)):
        why = hopeless(state, need)
        if why:
            impossible.append(Impossible(model_id=need.model_id, pin_id=need.pin_id, why=why))
        else:
            urgent.append(need)
    loads, waits = overdue.loads(board, urgent, knobs)
    given: list[Seat] = []
    left: list[tuple[Demand, int]] = []
    room = ALL if capacity is None else max(0, capacity)
    for need in urgent:
        count = 0
        if room > 0 and (now_given := seats(board, need, strategy, room)):
            count = sum([seat.n for seat in now_given])
            given.extend(now_given)
            room -= count
        if count < need.waiting:
            left.append((need, need.waiting - count))
    board.press(left)
    decided = {(w.model_id, w.pin_id) for w in waits} | {(load.model_id, None) for load in loads}
    more, idle = _loads(board, left, decided, strategy, knobs)
    loads.extend(more)
    waits.extend(idle)
    unloads = warmth.stale(board, knobs)
    loads.extend(warmth.kept(board, strategy, knobs))
    if policy.preload and not loads:
        loads.extend(warmth.preload(board, strategy, knobs))
    return Plan(seats=tuple(given), loads=tuple(loads), unloads=tuple(unloads), waits=tuple(waits), impossible=tuple(impossible))


def _loads(
    board: Board, left: Sequence[tuple[Demand, int]], decided: set[tuple[int, int | None]], strategy: balancing.Strategy, knobs: Knobs
) -> tuple[list[Load], list[Wait]]:
    """Steps 3 to 7 for everybody who got no seat: the wishes by what they earn for each GB, the first few weighed in this plan."""
    loads: list[Load] = []
    waits: list[Wait] = []
    ranked: list[tuple[int, Wish]] = []
    earns: dict[int, float] = {}
    models = board.state.models
    for wish in _wishes(board, left):
        model_id, pin_id = wish.model_id, wish.pin_id
        if (model_id, pin_id) in decided:
            continue
        why = _settled(board, wish)
        if why:
            waits.append(Wait(model_id, pin_id, None, why))
            continue
        wish.load_s = _load_s(board, wish)
        wish.hoped = earned(board, wish, knobs, knobs.target_free)
        earns[model_id] = max(wish.hoped / models[model_id].need_gb, earns.get(model_id, 0.0))
        ranked.append((pin_id or ALL, wish))  # who may run on one server only chooses before who may run anywhere
    weighed, gap = 0, widest(board)
    for _, wish in sorted(ranked, key=lambda r: (-earns[r[1].model_id], r[1].model_id, r[0])):
        model_id, pin_id = wish.model_id, wish.pin_id
        coming = [server_id for server_id in board.coming.get(model_id, ()) if pin_id in (None, server_id)]
        if coming:
            why = f"{models[model_id].key} is loading on {board.state.servers[coming[0]].name}"
            waits.append(Wait(model_id, pin_id, None, why))
            continue
        if weighed >= (TOP if loads or models[model_id].need_gb > gap else 2 * TOP):
            why = "other models come first: they earn more for each GB of memory"
            waits.append(Wait(model_id, pin_id, None, why))
            continue
        found, seen = best(board, wish, strategy, knobs)
        weighed += seen > 0
        if isinstance(found, Load):
            loads.append(found)
        else:
            why, until = found
            waits.append(Wait(model_id, pin_id, None if until == NEVER else until, why))
    return loads, waits


def _wishes(board: Board, left: Sequence[tuple[Demand, int]]) -> list[Wish]:
    """What is left without a seat, put together by model and pin."""
    pinned = {need.model_id for need, _ in left if need.pin_id is not None}
    wishes: dict[tuple[int, int | None], Wish] = {}
    for need, count in left:
        model_id, split = need.model_id, need.model_id in pinned
        key = (model_id, need.pin_id)
        if key not in wishes:
            pressure = Pressure() if split else board.pressure[model_id]
            wishes[key] = Wish(model_id, need.pin_id, need.avoid_id, pressure, need.caller)
        if split:
            wishes[key].pressure.add(need, count)
    return list(wishes.values())


def _load_s(board: Board, need: Wish) -> float:
    """How long a load takes where it is fastest, of the first few servers that come into question."""
    found: list[float] = []
    for offer in board.state.offering(need.model_id, need.pin_id):
        server = board.state.servers.get(offer.server_id)
        if server is not None and server.well:
            found.append(board.load_s(need.model_id, server, offer))
            if len(found) == LOOKED_AT:
                break
    return min(found, default=board.state.models[need.model_id].need_gb / USUAL_GB_PER_S)


def _settled(board: Board, wish: Wish) -> str:
    """Step 3: why nothing has to be loaded for a wish, because it is there or coming already; empty if something may have to be.

    Counts the copies within the wish's reach on the way.
    """
    state, model_id, pin_id = board.state, wish.model_id, wish.pin_id
    for place in board.warm(model_id):
        if place.server_id == wish.avoid_id or pin_id not in (None, place.server_id):
            continue
        if place.free > board.taken.get(place.id, 0) and board.seatable(place.id):
            return (
                f"{state.models[model_id].key} has a free slot on {state.servers[place.server_id].name}, and the engine has its hands full"
            )
    if pin_id is None:
        wish.copies = board.there(model_id)
        if wish.copies != 1:
            return ""
    here = [p for p in state.places(model_id, pin_id) if p.state is not PlacementState.UNLOADING and p.server_id in board.well]
    wish.copies = len(here)
    if len(here) == 1 and here[0].state is PlacementState.LOADING:
        return f"{state.models[model_id].key} is loading on {state.servers[here[0].server_id].name}"
    if pin_id is not None and any(p.state is PlacementState.LOADED for p in here):
        return f"{state.models[model_id].key} is loaded on {state.servers[pin_id].name}, and all its slots are taken"
    return ""
