"""Rate limits as pure arithmetic over a ledger: true sliding windows, reservations counted as posts.

A reservation counts until it is settled, because nobody knows when its post will come. So at any moment the posts of a window plus
what is reserved never exceed the rule, whatever is posted when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WINDOWS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
SOON: Final = timedelta(seconds=1)
"""When to ask again if only an unsettled reservation is in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """At most `amount` posts per window of `kind` (minute, hour, day), or `amount` seconds between posts (`gap`).

    `whole` is a rule of all entities together.
    """

    kind: str
    amount: int
    whole: bool = False

    @property
    def span(self) -> timedelta:
        """How far back the rule looks."""
        return timedelta(seconds=self.amount) if self.kind == "gap" else WINDOWS[self.kind]

    def __str__(self) -> str:
        text = f"{self.amount} s between posts" if self.kind == "gap" else f"{self.amount} a {self.kind}"
        return f"{text}, all entities together" if self.whole else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What was posted (`spent`, any order, at least one day back) and what is reserved, of one entity or of all."""

    spent: Sequence[datetime] = ()
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One rule's state: how many posts are left now, and when one more is free (None: now)."""

    rule: Rule
    remaining: int
    free_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Whether one more post may be reserved; if not, why and when to ask again."""

    allowed: bool
    left: tuple[Left, ...] = ()
    free_at: datetime | None = None
    why: str = ""


def left(rule: Rule, ledger: Ledger, now: datetime) -> Left:
    """One rule against one ledger."""
    if rule.kind == "gap":
        gap = rule.span
        last = max((t for t in ledger.spent if t + gap > now), default=None)
        free_at = now + SOON if ledger.reserved else last + gap if last else None
        return Left(rule=rule, remaining=0 if free_at else 1, free_at=free_at)
    window = rule.span
    recent = sorted(t for t in ledger.spent if t + window > now)
    used = len(recent) + ledger.reserved
    remaining = max(0, rule.amount - used)
    if remaining:
        return Left(rule=rule, remaining=remaining, free_at=None)
    leaving = used - rule.amount  # so many of the recent ones must leave the window before one more fits
    free_at = recent[leaving] + window if leaving < len(recent) else now + SOON
    return Left(rule=rule, remaining=0, free_at=free_at)


def quota(rules: Sequence[Rule], own: Ledger, whole: Ledger, now: datetime) -> Quota:
    """All rules of an entity, its own and the common ones."""
    states = tuple(left(rule, whole if rule.whole else own, now) for rule in rules)
    closed = [state for state in states if state.free_at is not None]
    if not closed:
        return Quota(allowed=True, left=states)
    why = "limit reached: " + "; ".join(str(state.rule) for state in closed)
    return Quota(allowed=False, left=states, free_at=max(s.free_at for s in closed if s.free_at), why=why)
