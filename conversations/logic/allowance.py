"""The permits of a replay, counted by simulated time as `entities.spend` counts rows."""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from typing import Final

from entities.logic.quota import Quota, Rule, Use, quota

HERE: Final = 1
"""The key of the feed that is replayed; rules of other feeds have no say in it."""

Scope = tuple[str, int | None]
"""An entity, "" for all together, and a feed, None for all."""


class Allowance:
    """The ledger in memory. `own` are the rules of each entity, by id; `common` those of all together."""

    def __init__(self, own: Mapping[str, Sequence[Rule]], common: Sequence[Rule]) -> None:
        self._own, self._common = own, tuple(common)
        self._reserved: Counter[Scope] = Counter()
        self._spent: dict[Scope, list[datetime]] = defaultdict(list)
        self._coming: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = count()

    def quota(self, slug: str, now: datetime, ahead: Callable[[Rule], int] = lambda _: 0) -> Quota:
        """What the limits of an entity allow now; `ahead` says how many others come first at a rule."""
        self._until(now)
        rules = (*self._own.get(slug, ()), *self._common)
        return quota(rules, lambda rule: self._use(rule, slug, now), now, feed_id=HERE, ahead=ahead)

    def add(
        self, slug: str, reserved: datetime, settled: datetime | None, *, spent: bool, here: bool = True, known: datetime | None = None
    ) -> None:
        """A permit: reserved, and later spent or given back, or never settled (None).

        A post counts from `settled`; when it is `known`, which may be later, its reservation ends.
        """
        scopes = self._scopes(slug, here)

        def begin() -> None:
            self._reserved.update(scopes)
            if settled is not None:
                heappush(self._coming, (max(known or settled, settled, reserved), next(self._number), end))

        def end() -> None:
            self._reserved.subtract(scopes)
            if spent and settled is not None:
                for scope in scopes:
                    insort(self._spent[scope], max(settled, reserved))

        heappush(self._coming, (reserved, next(self._number), begin))

    @staticmethod
    def _scopes(slug: str, here: bool) -> tuple[Scope, ...]:
        everywhere: tuple[Scope, ...] = ((slug, None), ("", None))
        return (*everywhere, (slug, HERE), ("", HERE)) if here else everywhere

    def _until(self, now: datetime) -> None:
        while self._coming and self._coming[0][0] <= now:
            heappop(self._coming)[2]()

    def _use(self, rule: Rule, slug: str, now: datetime) -> Use:
        scope = "" if rule.whole else slug, rule.feed_id
        spent, reserved = self._spent[scope], self._reserved[scope]
        recent = len(spent) - bisect_right(spent, now - rule.span)

        def nth(n: int) -> datetime | None:
            return spent[-n] if 0 < n <= recent else None

        return Use(spent=min(recent, rule.posts), reserved=reserved, leaves=nth(rule.posts - reserved), clears=nth(rule.posts))
