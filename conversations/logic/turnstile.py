"""What becomes of a yes that its limits refuse: it waits in line for them, or it is refused for good.

There is one line for each entity in each feed. Whoever comes later leaves a place free for those who stand in line already.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from conversations.logic.lifecycle import Mode
from entities.logic.persona import Persona
from entities.logic.quota import Quota, Rule

AT_LEAST: Final = timedelta(seconds=60)
"""However old a message is when it is decided, its answer gets so much time."""

LOOK: Final = timedelta(seconds=10)
"""However far away the free moment is, it is looked again after so long: a person may have changed the limits."""

TOO_LATE: Final = "its limits refused it until it was too late"

Line = tuple[int, int]
"""An entity and a feed."""


def deadline(born: datetime, persona: Persona, now: datetime) -> datetime:
    """After that an answer is worth nothing."""
    return max(born + timedelta(seconds=persona.max_age_s), now + AT_LEAST)


def ahead(lines: Mapping[Line, int], own: Line) -> Callable[[Rule], int]:
    """How many come first at a rule: everybody in the own line, and the first of each other line that the rule holds up too.

    `lines` says how many stand in each.
    """

    def count(rule: Rule) -> int:
        before = ((line, n) for line, n in lines.items() if (rule.whole or line[0] == own[0]) and rule.feed_id in (None, line[1]))
        return sum(n if line == own else 1 for line, n in before)

    return count


def refused(quota: Quota, persona: Persona, mode: Mode, until: datetime) -> str:
    """Why a yes that the limits do not allow now does not wait for them either; empty if it does.

    Who answers by chance never waits, nor does an entity that would rather drop, nor a hopeless one.
    """
    if mode is Mode.AMBIENT or persona.when_limited == "drop":
        return quota.why
    return hopeless(quota, until)


def hopeless(quota: Quota, until: datetime) -> str:
    """Why it makes no sense to wait: the limits cannot allow it before it is too late. Empty if they may."""
    if quota.earliest is None or quota.earliest <= until:
        return ""
    return f"{quota.why}; not before {quota.earliest:%Y-%m-%d %H:%M:%S}, and then it is too late"


def again(free_at: datetime | None, now: datetime) -> datetime:
    """When whoever waits asks again."""
    return min(free_at or now, now + LOOK)
