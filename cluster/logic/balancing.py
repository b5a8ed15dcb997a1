"""Strategies: which of several warm placements gets the next generation, which of several servers the next load.

A strategy is two pure functions from a candidate to a score; the lowest score wins, ties go to the lowest id, so equal input gives
equal choice. `STRATEGIES` is open: a plugin adds names through the hook `cluster_strategies`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final

from cluster.logic.state import USUAL_ANSWER_S

NEAR: Final = 1.25
"""Servers whose expected time is up to so many times the best one count as equally fast: estimates are no better than that."""


@dataclass(slots=True)
class Candidate:
    """A warm placement with a free slot, as a strategy sees it. Times are seconds.

    A plan makes hundreds of these: hence none of its fields has to be named, which takes three times as long.
    """

    placement_id: int
    server_id: int
    server: str
    in_flight: int
    slots: int
    server_in_flight: int
    free_gb: float
    budget_gb: float
    answer_s: float
    """How long an answer should take there, alone."""
    weight: float
    liking: int
    """0: the server prefers this model; 1: it prefers any; 2: neither."""
    used_at: float
    turns: int = 0
    """Of those in flight, the ones that this plan has given it."""
    fastest_s: float = 0.0
    """The shortest expected time among all candidates of this demand."""

    @property
    def expected_s(self) -> float:
        """How long the next answer should take, with what is in flight there already."""
        return self.answer_s * (1 + self.in_flight / self.slots) / self.weight


@dataclass(slots=True)
class Site:
    """A server with room for a model, as a strategy sees it. As many as candidates, and made as they are."""

    server_id: int
    server: str
    load_s: float
    free_gb: float
    """Left over after the load."""
    budget_gb: float
    in_flight: int
    loaded_at: float
    """When something was last loaded there."""
    weight: float
    liking: int


Score = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How to choose a placement for a seat, and a server for a load where there is room."""

    seat: Callable[[Candidate], Score]
    load: Callable[[Site], Score]
    terms: tuple[str, ...] = ()
    """What the numbers of a seat's score are, for people; the first that differs decides, the lower one wins."""


def answer_s(mean: float | None, spread: float | None, answers: float, usual: float) -> float:
    """How long an answer should take: the learned mean, the more hopeful the less it rests on, so that little-known pairs are tried."""
    if mean is None:
        return 0.8 * (usual or USUAL_ANSWER_S)
    doubt = spread if spread is not None else 0.5 * mean
    return max(0.3 * mean, mean - doubt / sqrt(1.0 + answers))


def _least_loaded(c: Candidate) -> Score:
    return (c.server_in_flight / c.weight, c.in_flight / c.slots, c.used_at)


def _round_robin(c: Candidate) -> Score:
    return (c.turns, c.used_at, c.in_flight)


def _model_affinity(c: Candidate) -> Score:
    return (c.liking, -c.in_flight / c.slots)


def _memory_based(c: Candidate) -> Score:
    return (-c.budget_gb, -c.free_gb, c.in_flight / c.slots)


def _expected_time(c: Candidate) -> Score:
    times = c.expected_s / c.fastest_s if c.fastest_s else 1.0
    level = 0.0 if times <= NEAR else times
    return (level, c.in_flight / c.slots, c.liking, c.turns, c.used_at)


STRATEGIES: Final[dict[str, Strategy]] = {
    "least-loaded": Strategy(
        seat=_least_loaded,
        load=lambda s: (s.in_flight / s.weight, -s.free_gb),
        terms=("in flight on the server, by weight", "part of the slots taken", "last used"),
    ),
    "round-robin": Strategy(seat=_round_robin, load=lambda s: (s.loaded_at,), terms=("seats of this plan", "last used", "in flight")),
    "model-affinity": Strategy(
        seat=_model_affinity,
        load=lambda s: (s.liking, s.free_gb),
        terms=("preferred (0 by name, 1 any, 2 no)", "part of the slots taken, most first"),
    ),
    "memory-based": Strategy(
        seat=_memory_based,
        load=lambda s: (-s.budget_gb, -s.free_gb),
        terms=("GB for models, most first", "GB free, most first", "part of the slots taken"),
    ),
    "expected-time": Strategy(
        seat=_expected_time,
        load=lambda s: (s.liking, round(s.load_s, 1), s.free_gb),
        terms=(
            "times the fastest (0: as good as)",
            "part of the slots taken",
            "preferred (0 by name, 1 any, 2 no)",
            "seats of this plan",
            "last used",
        ),
    ),
}
"""Fewest in flight · who waited longest for a turn · the fullest, others stay free for other models · the most memory · soonest done."""


def find(name: str, table: Mapping[str, Strategy] = STRATEGIES) -> Strategy:
    """The strategy of a name. Raises KeyError, with the names there are, for one that nobody registered."""
    try:
        return table[name]
    except KeyError:
        raise KeyError(f"There is no strategy {name!r}. There are: {', '.join(sorted(table))}.") from None
