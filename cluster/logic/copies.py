"""Which copies of one model on one server are too many."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One loaded instance. `since`: when it was loaded, seconds; `busy`: it is answering."""

    id: int
    since: float
    busy: bool = False
    pinned: bool = False


def surplus(copies: Sequence[Copy]) -> tuple[int, ...]:
    """The copies that may go now: the idle ones beside one that stays.

    Pinned and busy ones stay; where there is none, the oldest does.
    """
    idle = [one for one in copies if not (one.busy or one.pinned)]
    if idle and len(idle) == len(copies):
        idle.remove(min(idle, key=lambda one: (one.since, one.id)))
    return tuple(sorted(one.id for one in idle))
