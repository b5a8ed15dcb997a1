"""How soon a model is likely to be asked for: the numbers that a load before the first request rests on.

Rates are requests a second, moments and durations seconds on one clock.
"""

from collections.abc import Sequence
from math import exp
from typing import Final

MENTION_S: Final = 60.0
"""Who was mentioned is asked within about so long, or not at all: what is left of the expectation falls to 1/e of it in this time."""

DAY_WEIGHT: Final = 0.8
"""How much a day counts against the day after it."""


def usual(counts: Sequence[float], window_s: float) -> float:
    """The rate that is usual at a time of the day: requests within `window_s` around it on the last days, the latest day first.

    A day without requests is a count of 0. No days: 0. Raises ValueError for a window that is not positive.
    """
    if window_s <= 0:
        raise ValueError(f"a window of {window_s:g} s holds no requests; give one above 0")
    weights = [DAY_WEIGHT**age for age in range(len(counts))]
    total = sum(weights)
    return sum(count * weight for count, weight in zip(counts, weights, strict=True)) / total / window_s if total else 0.0


def mention(expected_at: float | None, now: float) -> float:
    """The rate that a mention at `expected_at` adds at `now`: one request in all, less and less likely as time passes without it."""
    if expected_at is None:
        return 0.0
    return exp(-max(0.0, now - expected_at) / MENTION_S) / MENTION_S


def likely(rate: float, usual: float, mention: float, within_s: float) -> float:
    """How many requests are to be expected within `within_s`.

    What is asked lately and what is usual now tell of the same requests, so the larger counts; a mention comes on top, and ends by itself.
    """
    steady = max(rate, usual) * within_s
    return steady + mention * MENTION_S * (1.0 - exp(-within_s / MENTION_S))
