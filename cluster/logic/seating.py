"""Step 2 of the planner's tree: seats on warm placements, each to the best one at that moment (`placement` has the whole tree)."""

import heapq

from cluster.logic.balancing import Candidate, Score, Strategy, answer_s
from cluster.logic.board import Board, liked
from cluster.logic.decision import Runner, Seat
from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import Demand, PlacementView

SHOWN = 5
"""Runners-up that are kept with a decision."""

Free = list[tuple[PlacementView, int]]
"""Warm placements with their free slots."""

Ranked = list[tuple[bool, Score, int, Candidate, int]]
"""Far or near, the strategy's score, the placement, all that is known of it, its free slots: the first is the best."""


def seats(board: Board, need: Demand, strategy: Strategy, most: int) -> list[Seat]:
    """Seats for as many of `need` as there are free slots, at most `most`."""
    free = _free(board, need) if most > 0 else []
    if not free:
        return []
    ranked = _ranked(board, need.model_id, free, strategy)
    choices, wanted = len(ranked), min(need.waiting, most)
    shown = tuple([Runner(c.server, c.expected_s, c.in_flight, score) for _, score, _, c, _ in ranked[:SHOWN]])
    if choices == 1 or wanted >= sum([slots for _, slots in free]):
        given = {pid: (c, min(wanted, slots)) for _, _, pid, c, slots in ranked}
    else:
        given = _shared_out(ranked, strategy, wanted)
    model_id, pin_id, avoid_id, tail = need.model_id, need.pin_id, need.avoid_id, f"best of {choices} by {board.policy.strategy}"
    found = []
    for pid, (best, count) in given.items():
        board.take(pid, best.server_id, count)
        why = f"warm on {best.server} with a free slot; {tail}"
        found.append(Seat(model_id, pin_id, pid, best.server_id, count, why, avoid_id, shown))
    return found


def _shared_out(ranked: Ranked, strategy: Strategy, wanted: int) -> dict[int, tuple[Candidate, int]]:
    """One seat at a time to whoever is the best at that moment: so many seats by placement. A sorted list is a heap."""
    given: dict[int, tuple[Candidate, int]] = {}
    for more in range(wanted - 1, -1, -1):
        far, _, pid, best, slots = ranked[0]
        given[pid] = best, given[pid][1] + 1 if pid in given else 1
        if not more:
            break
        best.in_flight += 1
        best.server_in_flight += 1
        best.turns += 1
        if slots > 1:
            heapq.heapreplace(ranked, (far, strategy.seat(best), pid, best, slots - 1))
        else:
            heapq.heappop(ranked)
    return given


def _free(board: Board, need: Demand) -> Free:
    """The warm placements that may serve a demand and their free slots; the server it shall avoid only if there is no other."""
    taken, leaving, withheld = board.taken, board.leaving, board.withheld
    found = [
        (p, slots)
        for p in board.warm(need.model_id)
        if (slots := p.slots - p.in_flight - taken.get(p.id, 0)) > 0 and p.id not in leaving and p.id not in withheld
    ]
    if need.pin_id is not None:
        found = [one for one in found if one[0].server_id == need.pin_id]
    if found and need.avoid_id is not None:
        shunned = [one for one in found if one[0].server_id == need.avoid_id]
        if shunned and _elsewhere(board, need):
            found = [one for one in found if one[0].server_id != need.avoid_id]
    return found


def _elsewhere(board: Board, need: Demand) -> bool:
    """Whether the model of a demand is loaded on another server than the one it shall avoid."""
    for placement in board.state.places(need.model_id, need.pin_id):
        if placement.server_id != need.avoid_id and placement.state is PlacementState.LOADED and placement.server_id in board.well:
            return True
    return False


def _ranked(board: Board, model_id: int, free: Free, strategy: Strategy) -> Ranked:
    """The candidates by score; those of a far region behind all others."""
    state, taken, flight, gb = board.state, board.taken, board.flight, board.free
    model, servers, offers = state.models[model_id], state.servers, state.offers.get(model_id, {})
    usual = answer_s(None, None, 0.0, model.answer_s)
    found = []
    for placement, slots in free:
        server_id = placement.server_id
        server, offer = servers[server_id], offers.get(server_id)
        if offer is None or (mean := offer.answer_s) is None:
            seconds = usual
        else:
            seconds = answer_s(mean, offer.spread_s, offer.answers, model.answer_s)
        pid = placement.id
        turns = taken.get(pid, 0)
        candidate = Candidate(
            pid,
            server_id,
            server.name,
            placement.in_flight + turns,
            placement.slots,
            flight[server_id],
            gb[server_id],
            server.budget_gb,
            seconds,
            server.weight,
            liked(server, model.key) if server.preferred else 2,
            placement.used_at or 0.0,
            turns,
        )
        found.append((server.far, candidate, slots))
    fastest = min([candidate.expected_s for _, candidate, _ in found])
    seat = strategy.seat
    ranked: Ranked = []
    for far, candidate, slots in found:
        candidate.fastest_s = fastest
        ranked.append((far, seat(candidate), candidate.placement_id, candidate, slots))
    ranked.sort()
    return ranked
