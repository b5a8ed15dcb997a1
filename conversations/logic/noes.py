"""Who does not answer, and why: counted by reason, and some of them by name, however many there are."""

from collections import Counter
from collections.abc import Collection, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Final

NAMED: Final = 30
"""So many are kept by name."""

LETTERS: Final = 4000
"""Characters that their names and reasons may have together."""

LONGEST: Final = 100
"""Characters of one reason."""

Miss = tuple[float, str, float, float]
"""By how much the dice missed, entity id, dice, chance."""


class Noes:
    """Refusals as they come. `add` for one with a reason of its own; `group` for many alike, who cost nothing each."""

    def __init__(self) -> None:
        self._named: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._groups: list[tuple[str, Collection[str]]] = []
        self._misses: list[Miss] = []

    def add(self, slug: str, why: str, kind: str = "") -> None:
        """One entity, counted under `kind`, or under `why` if that says the same for everybody."""
        self._counts[kind or why] += 1
        self._named[slug] = why

    def group(self, slugs: Collection[str], why: str) -> None:
        """All these, for one reason."""
        if slugs:
            self._counts[why] += len(slugs)
            self._groups.append((why, slugs))

    def missed(self, misses: list[Miss]) -> None:
        """Those whose dice did not fall."""
        if misses:
            self._counts["dice"] += len(misses)
            self._misses = misses

    def __contains__(self, slug: str) -> bool:
        """Whether it has been refused for a reason of its own."""
        return slug in self._named

    def __len__(self) -> int:
        return len(self._named)

    @property
    def counts(self) -> Mapping[str, int]:
        """Reason → how many."""
        return dict(self._counts)

    def names(self) -> Mapping[str, str]:
        """Entity id → reason, for at most NAMED: first those with a reason of their own, then whose dice missed closest."""
        found: dict[str, str] = {}
        letters = 0

        def keep(slug: str, why: str) -> None:
            nonlocal letters
            text = why[:LONGEST]
            letters += len(slug) + len(text)
            if letters <= LETTERS and len(found) < NAMED:
                found.setdefault(slug, text)

        for slug, why in islice(self._named.items(), NAMED):
            keep(slug, why)
        for _, slug, dice, chance in nsmallest(max(0, NAMED - len(found)), self._misses):
            keep(slug, f"dice {dice:.3f} against {chance:.3f}")
        for why, slugs in self._groups:
            for slug in islice(slugs, max(0, NAMED - len(found))):
                keep(slug, why)
        return found
