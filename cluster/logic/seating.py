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
    found = []
    for pid, (best, count) in given.items():
        board.take(pid, best.server_id, count)
        found.append(
            Seat(
                model_id=need.model_id,
                pin_id=need.pin_id,
                avoid_id=need.avoid_id,
                placement_id=pid,
                server_id=best.server_id,
                n=count,
                why=f"warm on {best.server} with a free slot; best of {choices} by {board.policy.strategy}",
                candidates=shown,
            )
        )
    return found


def _shared_out(ranked: Ranked, strategy: Strategy, wanted: int) -> dict[int, tuple[Candidate, int]]:
    """One seat at a time to whoever is the best at that moment: so many seats by placement. A sorted list is a heap."""
    given: dict[int, tuple[Candidate, int]] = {}
    for _ in range(wanted):
        far, _, pid, best, slots = ranked[0]
        best.in_flight += 1
        best.server_in_flight += 1
        best.turns += 1
        given[pid] = best, given[pid][1] + 1 if pid in given else 1
        if slots > 1:
            heapq.heapreplace(ranked, (far, strategy.seat(best), pid, best, slots - 1))
        else:
            heapq.heappop(ranked)
    return given


def _free(board: Board, need: Demand) -> Free:
    """The warm placements that may serve a demand and their free slots; the server it shall avoid only if there is no other."""
    servers, taken, shun = board.state.servers, board.taken, need.avoid_id
    barred = board.leaving | board.withheld
    found: Free = []
    avoided: Free = []
    elsewhere = False
    loaded = PlacementState.LOADED
    for placement in board.state.places(need.model_id, need.pin_id):
        if placement.state is not loaded or not servers[placement.server_id].well:
            continue
        shunned = placement.server_id == shun
        elsewhere = elsewhere or not shunned
        slots = placement.slots - placement.in_flight
        if slots > 0 and (slots := slots - taken.get(placement.id, 0)) > 0 and placement.id not in barred:
            (avoided if shunned else found).append((placement, slots))
    return found if elsewhere else avoided


def _ranked(board: Board, model_id: int, free: Free, strategy: Strategy) -> Ranked:
    """The candidates by score; those of a far region behind all others."""
    state, taken = board.state, board.taken
    model, servers, pairs = state.models[model_id], state.servers, state.pairs
    candidates = []
    for placement, _ in free:
        server = servers[placement.server_id]
        offer = pairs.get((server.id, model_id))
        turns = taken.get(placement.id, 0)
        candidates.append(
            Candidate(
                placement_id=placement.id,
                server_id=server.id,
                server=server.name,
                in_flight=placement.in_flight + turns,
                turns=turns,
                slots=placement.slots,
                server_in_flight=board.flight[server.id],
                free_gb=board.free[server.id],
                budget_gb=server.budget_gb,
                answer_s=answer_s(offer.answer_s, offer.spread_s, offer.answers, model.answer_s)
                if offer is not None
                else answer_s(None, None, 0.0, model.answer_s),
                weight=server.weight,
                liking=liked(server, model.key) if server.preferred else 2,
                used_at=placement.used_at or 0.0,
            )
        )
    fastest = min([c.expected_s for c in candidates])
    ranked: Ranked = []
    for candidate, (placement, slots) in zip(candidates, free, strict=True):
        candidate.fastest_s = fastest
        ranked.append((servers[placement.server_id].far, strategy.seat(candidate), placement.id, candidate, slots))
    ranked.sort()
    return ranked
