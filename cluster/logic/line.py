"""Who waits for a model in one process, and the seats that the process holds there.

A request takes a free seat at once if nobody of its process waits before it. First in the line are those that stand in the queue's rows
already: they wait longest. The others wait by rank, and among equals by arrival.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

SPARE: Final = 2
"""So many seats more than are needed are asked for, at least."""

W = TypeVar("W")
B = TypeVar("B")


@dataclass(slots=True, eq=False)
class Seats(Generic[B]):
    """The seats that are held on one placement; up to `most` of them were taken at once since they were last counted."""

    placement: int
    block: B
    n: int = 0
    used: int = 0
    most: int = 0
    lost: bool = False
    """No more are to be taken here."""

    @property
    def free(self) -> int:
        """How many may be taken."""
        return 0 if self.lost else self.n - self.used


@dataclass(slots=True, eq=False)
class Line(Generic[W, B]):
    """One model: the seats by placement, who waits, and by number those that wait in rows."""

    seats: dict[int, Seats[B]] = field(default_factory=dict)
    waiting: deque[W] = field(default_factory=deque)
    """Who waits in no row, the first first; changed by `join`, `drop` and `pop` alone."""
    rows: dict[int, W] = field(default_factory=dict)
    tried_at: float = float("-inf")
    """When more seats were asked for than there were."""
    _ranks: dict[W, int] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """Seats held that may be taken."""
        return sum(one.free for one in self.seats.values())

    @property
    def wants(self) -> int:
        """How many more seats to ask for: some more than are needed, so that who comes next need not wait for them."""
        return len(self.waiting) + max(SPARE, sum(one.used for one in self.seats.values()) // 4)

    @property
    def idle(self) -> bool:
        """Nobody waits and nothing is held."""
        return not (self.seats or self.waiting or self.rows)

    def join(self, one: W, rank: int) -> None:
        """One more waits, behind all of its rank and before those of a higher one; 0 is first."""
        at = len(self.waiting)
        while at and self._ranks[self.waiting[at - 1]] > rank:
            at -= 1
        self.waiting.insert(at, one)
        self._ranks[one] = rank

    def drop(self, one: W) -> bool:
        """It waits no longer, if it did. Returns whether it did."""
        if self._ranks.pop(one, None) is None:
            return False
        self.waiting.remove(one)
        return True

    def pop(self) -> W:
        """Whose turn it is; he waits no longer."""
        one = self.waiting.popleft()
        del self._ranks[one]
        return one

    def take(self) -> Seats[B] | None:
        """Take a seat where fewest of those held are taken; None if all are."""
        best, least = None, 1.0
        for one in self.seats.values():
            if one.free > 0 and (share := one.used / one.n) < least:
                best, least = one, share
        if best is not None:
            best.used += 1
            best.most = max(best.most, best.used)
        return best

    def add(self, placement: int, n: int, block: B) -> None:
        """`n` more seats are held there; whatever was wrong there is so no longer."""
        one = self.seats.setdefault(placement, Seats(placement=placement, block=block))
        one.n += n
        one.block = block
        one.lost = False

    def leave(self, one: Seats[B]) -> int:
        """A taken seat is free again. Returns how many are to be given back."""
        one.used -= 1
        return self._cut(one, 0) if one.lost and self.seats.get(one.placement) is one else 0

    def lose(self, placement: int) -> int:
        """Hold no seats there any more: those that are free now, and the others when they are. Returns how many are to be given back."""
        if (one := self.seats.get(placement)) is None:
            return 0
        one.lost = True
        return self._cut(one, 0)

    def forget(self) -> None:
        """Nobody knows whether what was held is held still: only where somebody sits, and for nobody else."""
        for one in list(self.seats.values()):
            one.lost = True
            self._cut(one, 0)

    def shrink(self) -> Mapping[int, int]:
        """By placement, the seats that nobody needed since the last count; they are held no longer."""
        cut: dict[int, int] = {}
        for one in list(self.seats.values()):
            if spare := self._cut(one, one.most):
                cut[one.placement] = spare
            one.most = one.used
        return cut

    def _cut(self, one: Seats[B], keep: int) -> int:
        spare = max(0, one.n - max(keep, one.used))
        one.n -= spare
        if one.n == 0:
            self.seats.pop(one.placement, None)
        return spare
