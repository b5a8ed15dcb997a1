"""Whose turn it is: start-time fair queueing, with real time as the virtual time. Moments and lengths are seconds.

A request gets its turn when it is queued, and the turn never changes. The first request of a caller has its fair share now; each
further one that queues behind it has it one answer later, longer for a caller of little weight. Priority is added to that as a
delay. Whoever serves strictly by turns therefore keeps a bound that needs no counting: nothing that is queued after a request's
turn can overtake it, whatever its priority. A caller that floods delays itself, as far as its own backlog reaches; a caller for
whom models are loaded pays for the loading in the same coin.
"""

from collections.abc import Sequence
from typing import Final

ANSWER_S: Final = 5.0
"""What an answer is taken to cost while nothing is learned about its model."""

SLOTS: Final = 4
"""How many answers at once a model is believed to write while it is loaded nowhere."""

LONGEST_CHARGE_S: Final = 120.0
"""So far ahead loads may push a caller at most; who needs a large model is not locked out for it."""


def share(now: float, backlog: float | None, charged: float | None, cost_s: float, weight: float) -> float:
    """When a caller's fair share reaches the request that it queues now.

    backlog: the latest share of what it has waiting, None if nothing waits; charged: up to when loads have used its share up;
    cost_s: of one answer; weight: its part of the cluster, against 1.
    """
    behind = now if backlog is None else backlog + cost_s / weight
    return max(now, behind, now if charged is None else charged)


def turn(share_at: float, priority: int, ageing_s: float) -> float:
    """Whose turn it is: the fair share, and `ageing_s` later for each step of priority (0 is first)."""
    return share_at + priority * ageing_s


def charge(now: float, charged: float | None, seconds: float, weight: float) -> float:
    """Up to when a caller's share is used up after a load of `seconds` on its account."""
    begun = now if charged is None else max(now, charged)
    return max(begun, min(begun + seconds / weight, now + LONGEST_CHARGE_S))


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 when all have the same, 1/n when one has all. 1 for nobody and for nothing."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0
