"""Step 2 of the planner's tree: seats on warm placements, each to the best one at that moment (`placement` has the whole tree)."""

import heapq

from cluster.logic import balancing
from cluster.logic.balancing import Candidate, Score, Strategy
from cluster.logic.board import Board, liked
from cluster.logic.decision import Seat
from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import Demand, PlacementView

SHOWN = 5
"""Runners-up that are kept with a decision."""


def seats(board: Board, need: Demand, strategy: Strategy, most: int) -> list[Seat]:
    """Seats for as many of `need` as there are free slots, at most `most`."""
    free = _free(board, need)
    if not free or most <= 0:
        return []
    heap = _heap(board, need, free, strategy)
    shown = tuple(
        {"server": c.server, "expected_s": round(c.expected_s, 2), "in_flight": c.in_flight, "score": [round(x, 3) for x in score]}
        for _, score, _, c in (heapq.nsmallest(SHOWN, heap) if len(heap) > 1 else heap)
    )
    choices = len(heap)
    given: dict[int, tuple[int, Candidate]] = {}
    for _ in range(min(need.waiting, most)):
        if not heap:
            break
        far, _, pid, best = heap[0]
        best.in_flight += 1
        best.server_in_flight += 1
        best.turns += 1
        count = given[pid][0] + 1 if pid in given else 1
        given[pid] = (count, best)
        if count < free[pid][1]:
            heapq.heapreplace(heap, (far, strategy.seat(best), pid, best))
        else:
            heapq.heappop(heap)
    for pid, (count, best) in given.items():
        board.take(pid, best.server_id, count)
    return [
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
        for pid, (count, best) in given.items()
    ]


def _free(board: Board, need: Demand) -> dict[int, tuple[PlacementView, int]]:
    """The warm placements that may serve a demand and their free slots; the server it shall avoid only if there is no other."""
    servers = board.state.servers
    found: dict[int, tuple[PlacementView, int]] = {}
    avoided: dict[int, tuple[PlacementView, int]] = {}
    elsewhere = False
    for placement in board.state.by_model.get(need.model_id, ()):
        if placement.state is not PlacementState.LOADED or need.pin_id not in (None, placement.server_id):
            continue
        if not servers[placement.server_id].well:
            continue
        slots = placement.slots - placement.in_flight
        shunned = placement.server_id == need.avoid_id
        elsewhere = elsewhere or not shunned
        if slots > 0 and (slots := slots - board.taken.get(placement.id, 0)) > 0 and board.seatable(placement.id):
            (avoided if shunned else found)[placement.id] = (placement, slots)
    return found if elsewhere else avoided


def _heap(
    board: Board, need: Demand, free: dict[int, tuple[PlacementView, int]], strategy: Strategy
) -> list[tuple[bool, Score, int, Candidate]]:
    """The candidates by score; those of a far region behind all others."""
    candidates = [_candidate(board, placement) for placement, _ in free.values()]
    fastest = min(c.expected_s for c in candidates)
    for candidate in candidates:
        candidate.fastest_s = fastest
    heap = [(board.state.servers[c.server_id].far, strategy.seat(c), c.placement_id, c) for c in candidates]
    heapq.heapify(heap)
    return heap


def _candidate(board: Board, placement: PlacementView) -> Candidate:
    server = board.state.servers[placement.server_id]
    model = board.state.models[placement.model_id]
    offer = board.state.pairs.get((server.id, model.id))
    turns = board.taken.get(placement.id, 0)
    return Candidate(
        placement_id=placement.id,
        server_id=server.id,
        server=server.name,
        in_flight=placement.in_flight + turns,
        turns=turns,
        slots=placement.slots,
        server_in_flight=board.flight(server.id),
        free_gb=board.free_gb(server),
        budget_gb=server.budget_gb,
        answer_s=balancing.answer_s(
            offer.answer_s if offer else None, offer.spread_s if offer else None, offer.answers if offer else 0.0, model.answer_s
        ),
        weight=server.weight,
        liking=liked(server, model.key),
        used_at=placement.used_at or 0.0,
    )
