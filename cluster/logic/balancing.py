"""Strategies: which of several warm placements gets the next generation, which of several servers the next load.

A strategy is a pure function from a candidate to a score; the lowest score wins, ties go to the lowest id, so equal input gives
equal choice. `STRATEGIES` is open: a plugin may add a name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
USUAL_ANSWER_S: Final = 5.0
"""Taken for an answer's length where nothing was learned yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A warm placement with a free slot, as a strategy sees it."""

    placement_id: int
    server_id: int
    server: str
    in_flight: int
    turns: int = 0
    """Of those in flight, the ones that this plan has given it."""
    slots: int
    server_in_flight: int
    free_gb: float
    budget_gb: float
    answer_seconds: float | None
    weight: float
    preferred: bool
    used_at: datetime | None


Score = tuple[float, ...]
Strategy = Callable[[Candidate], Score]


def least_loaded(candidate: Candidate) -> Score:
    """Fewest requests in flight on the server, by its weight."""
    return (candidate.server_in_flight / candidate.weight, candidate.in_flight / candidate.slots)


def round_robin(candidate: Candidate) -> Score:
    """The one whose turn was longest ago; within one plan everybody has a turn before anybody has two."""
    return (candidate.turns, ((candidate.used_at or EPOCH) - EPOCH).total_seconds(), candidate.in_flight)


def model_affinity(candidate: Candidate) -> Score:
    """Servers that prefer the model first, then the fullest that still has a slot: others stay free for other models."""
    return (0.0 if candidate.preferred else 1.0, -candidate.in_flight / candidate.slots)


def memory_based(candidate: Candidate) -> Score:
    """The server with the most memory, then the most free."""
    return (-candidate.budget_gb, -candidate.free_gb, candidate.in_flight / candidate.slots)


def expected_time(candidate: Candidate) -> Score:
    """Soonest finished: the learned length of an answer there, longer the more it does at once."""
    answer = candidate.answer_seconds or USUAL_ANSWER_S
    return (answer * (1 + candidate.in_flight / candidate.slots) / candidate.weight, 0.0 if candidate.preferred else 1.0)


STRATEGIES: Final[dict[str, Strategy]] = {
    "least-loaded": least_loaded,
    "round-robin": round_robin,
    "model-affinity": model_affinity,
    "memory-based": memory_based,
    "expected-time": expected_time,
}


def ranked(strategy: str, candidates: list[Candidate], table: Mapping[str, Strategy] = STRATEGIES) -> list[tuple[Score, Candidate]]:
    """Candidates with their scores, the best first. Raises KeyError for a strategy nobody registered."""
    score = table[strategy]
    return sorted(((score(c), c) for c in candidates), key=lambda pair: (pair[0], pair[1].placement_id))
