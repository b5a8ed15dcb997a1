"""What is learned from outcomes: means and rates in which the recent counts more. Times are seconds."""

import math
from typing import Final

LEARN: Final = 0.2
"""How much the newest measurement counts against all before."""

TAU_S: Final = 250.0
"""How long an arrival counts towards the rate of its model (the time constant of the decay)."""

HALF_LIFE_S: Final = 600.0
"""After so long an answer counts half as evidence."""

DISK_WINDOW_S: Final = 300.0
"""Over how long it is looked at how busy the disks are."""


def blend(old: float | None, new: float) -> float:
    """The mean in which what is recent counts more."""
    return new if old is None else old + LEARN * (new - old)


def spread(old: float | None, new: float, mean: float) -> float:
    """The mean distance from the mean, blended likewise."""
    return blend(old, abs(new - mean))


def evidence(old: float, age_s: float) -> float:
    """How many answers an estimate rests on, `age_s` after it rested on `old` of them."""
    return old * math.exp2(-max(0.0, age_s) / HALF_LIFE_S)


def decayed(rate: float, dt: float, arrivals: float = 0.0) -> float:
    """A rate per second, `dt` seconds later, after so many more arrivals (taken as just now)."""
    return rate * math.exp(-max(0.0, dt) / TAU_S) + arrivals / TAU_S


def spaced(arrivals: int, dt: float) -> float:
    """What so many arrivals, evenly over the last `dt` seconds, add to a rate: while no engine runs a queue may gather for hours."""
    return arrivals * -math.expm1(-dt / TAU_S) / dt


def corrected(rate: float, age_s: float) -> float:
    """A decayed rate when counting began only `age_s` ago; otherwise a new cluster would believe that too little is wanted.

    In the first minutes by half at most: one request in the first second is no request a second.
    """
    return rate / (1.0 - math.exp(-max(TAU_S, age_s) / TAU_S))


def busy(seconds: float, servers: int, window_s: float = DISK_WINDOW_S) -> float:
    """The part of their time, 0 … 1, that so many servers spent loading, given the seconds of all loads within the window."""
    return min(1.0, seconds / (servers * window_s)) if servers else 0.0
