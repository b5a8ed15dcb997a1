"""Equal requests: which stored answer still counts, and what becomes of those that wait for another's answer."""

from enum import StrEnum

from cluster.logic.lifecycle import ENDED, GenerationState


class Fate(StrEnum):
    """What becomes of the followers of a request."""

    WAIT = "wait"
    """It is still being asked for."""
    SERVED = "served"
    """They get its answer."""
    FREED = "freed"
    """Each is asked for on its own: what failed once may be worth another try, but nobody should wait for that twice."""
    LED = "led"
    """It was only called off, or too late: the first of them is asked for in its place, for all the others."""


def counts(*, age_s: float, newer: int, ttl_s: float, entries: int) -> bool:
    """Whether a stored answer may be given again: it is younger than `ttl_s`, and fewer than `entries` of its model are newer."""
    return age_s < ttl_s and newer < entries


def fate(state: GenerationState, text: str) -> Fate:
    """What becomes of the followers of a request in `state`, whose answer is `text`. An empty answer serves nobody else."""
    if state not in ENDED:
        return Fate.WAIT
    if state is GenerationState.DONE:
        return Fate.SERVED if text else Fate.FREED
    return Fate.FREED if state is GenerationState.FAILED else Fate.LED
