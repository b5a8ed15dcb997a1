"""Which of those whose dice fell answer a message, when more of them would than may.

A strategy is a pure function: equal candidates give equal picks, in whatever order they come. Whoever ties is told apart by slug.
Everybody's chance has been judged before: for a candidate, `dice / chance` lies anywhere between 0 and 1 alike, and is its luck.

* `natural`: the luckiest, a heavier one counting as luckier. Who rarely speaks and whose dice fall well is heard.
* `random`: the luckiest, whatever they weigh.
* `weighted`: drawn like lots, so that of two, one of double weight comes first twice as often.
* `round-robin`: by slug, beginning behind the one that spoke last.
* `least-recent`: who has not spoken at all, then who spoke longest ago.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One entity whose dice fell, `dice` < `chance`. `spoke_s`: how long ago it spoke in this conversation; None: not that we know."""

    slug: str
    chance: float
    dice: float
    weight: float = 1.0
    spoke_s: float | None = None
    enabled: bool = True

    @property
    def wins(self) -> bool:
        """Whether it may be picked at all."""
        return self.enabled and 0 <= self.dice < self.chance

    @property
    def luck(self) -> float:
        """0 … 1, small is lucky."""
        return min(self.dice / self.chance, 1 - 2**-53)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A chosen candidate and the reason for its place."""

    slug: str
    why: str


Strategy = Callable[[Sequence[Candidate], str], Sequence[Pick]]
"""From the candidates and the slug of the entity that spoke last in the conversation (empty: none) to all of them in order."""


def _natural(candidates: Sequence[Candidate], last: str) -> Sequence[Pick]:
    keyed = sorted(candidates, key=lambda one: (one.luck / max(one.weight, 1e-9), one.slug))
    return [Pick(slug=one.slug, why=f"luck {one.luck:.3f}, weight {one.weight:g}") for one in keyed]


def _random(candidates: Sequence[Candidate], last: str) -> Sequence[Pick]:
    keyed = sorted(candidates, key=lambda one: (one.luck, one.slug))
    return [Pick(slug=one.slug, why=f"luck {one.luck:.3f}") for one in keyed]


def _weighted(candidates: Sequence[Candidate], last: str) -> Sequence[Pick]:
    # The least of exponential variates: each is first with a probability proportional to its weight.
    def lot(one: Candidate) -> float:
        return -math.log1p(-one.luck) / one.weight if one.weight > 0 else math.inf

    keyed = sorted(candidates, key=lambda one: (lot(one), one.luck, one.slug))
    return [Pick(slug=one.slug, why=f"lot {lot(one):.3f}, weight {one.weight:g}") for one in keyed]


def _round_robin(candidates: Sequence[Candidate], last: str) -> Sequence[Pick]:
    keyed = sorted(candidates, key=lambda one: (one.slug <= last, one.slug))
    why = f"its turn after {last}" if last else "nobody spoke before"
    return [Pick(slug=one.slug, why=why) for one in keyed]


def _least_recent(candidates: Sequence[Candidate], last: str) -> Sequence[Pick]:
    keyed = sorted(candidates, key=lambda one: (-math.inf if one.spoke_s is None else -one.spoke_s, one.slug))
    return [Pick(slug=one.slug, why="never spoke here" if one.spoke_s is None else f"spoke {one.spoke_s:.0f} s ago") for one in keyed]


STRATEGIES: Final[Mapping[str, Strategy]] = {
    "natural": _natural,
    "random": _random,
    "weighted": _weighted,
    "round-robin": _round_robin,
    "least-recent": _least_recent,
}


def ordered(strategy: Strategy, candidates: Iterable[Candidate], last: str = "") -> tuple[Pick, ...]:
    """All who may win, in the order in which they answer. Raises ValueError for a strategy that names somebody else, or one twice."""
    winning = sorted((one for one in candidates if one.wins), key=lambda one: one.slug)
    picks = tuple(strategy(winning, last))
    named = [pick.slug for pick in picks]
    strange = sorted(set(named) - {one.slug for one in winning})
    if strange:
        raise ValueError(f"the strategy chose {', '.join(strange[:3])}, whose dice had not fallen")
    if len(set(named)) != len(named):
        raise ValueError("the strategy chose somebody twice")
    return picks
