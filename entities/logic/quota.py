"""Rate limits as pure arithmetic over a ledger: true sliding windows, reservations counted as posts.

A window is half-open: a post at t counts at t and until just before t + span, so one more may come exactly at t + span. A gap of s
seconds is one post in any s seconds. A reservation counts until it is settled, because nobody knows when its post will come; after that
the post counts from its own moment, which is never before the reservation.

Why no window is ever violated, whatever is posted when and whatever the clocks say: take a window [s, s + span) with one post too many, and
of its posts the one reserved last. When it was reserved, each other one was reserved still, or was settled at t ≥ s and counted, because the
reservation came before s + span. So the count had reached the limit, and it was refused. What was reserved before a limit was made or
tightened stands: the new limit counts it and lets nothing follow until there is room.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

WINDOWS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
SOON: Final = timedelta(seconds=1)
"""When to ask again if only unsettled reservations are in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """At most `amount` posts in any `every` windows of `kind` (minute, hour, day), or `amount` seconds between two posts (`gap`).

    `whole` is a rule of all entities together; with `feed_id` it counts only the posts of that feed, which people know as `feed`.
    """

    kind: str
    amount: int
    every: int = 1
    whole: bool = False
    feed_id: int | None = None
    feed: str = ""

    @property
    def span(self) -> timedelta:
        """How far back the rule looks."""
        return timedelta(seconds=self.amount) if self.kind == "gap" else self.every * WINDOWS[self.kind]

    @property
    def posts(self) -> int:
        """So many posts fit into one span."""
        return 1 if self.kind == "gap" else self.amount

    def __str__(self) -> str:
        if self.kind == "gap":
            text = f"{self.amount} s between posts"
        else:
            window = "an hour" if self.kind == "hour" else f"a {self.kind}"
            text = f"{self.amount} {window}" if self.every == 1 else f"{self.amount} in any {self.every} {self.kind}s"
        text += f", in {self.feed or 'one feed'}" if self.feed_id is not None else ""
        return f"{text}, all entities together" if self.whole else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a rule's window holds: posts `spent` in it, counted up to as many as fit, and what is `reserved`.

    `leaves` is when that post was which must leave the window before one more fits, `clears` the same if nothing were reserved; None if
    there is no such post.
    """

    spent: int = 0
    reserved: int = 0
    leaves: datetime | None = None
    clears: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A ledger in memory: when posts were `spent`, in any order, and how many are reserved. `entities.spend` counts the same in rows."""

    spent: Sequence[datetime] = ()
    reserved: int = 0

    def use(self, rule: Rule, now: datetime) -> Use:
        """What the rule sees of it."""
        recent = sorted((t for t in self.spent if t + rule.span > now), reverse=True)

        def nth(n: int) -> datetime | None:
            return recent[n - 1] if 0 < n <= len(recent) else None

        return Use(
            spent=min(len(recent), rule.posts), reserved=self.reserved, leaves=nth(rule.posts - self.reserved), clears=nth(rule.posts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One rule's state: how many posts are left now, and when one more is free (None: now).

    `pending`: unsettled reservations alone are in the way, so `free_at` is only when to ask again. Never is one free before `earliest`
    (None: that may be at any moment).
    """

    rule: Rule
    remaining: int
    free_at: datetime | None = None
    earliest: datetime | None = None
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Whether one more post may be reserved; if not, why and when to ask again. It is never free before `earliest` (None: at any moment)."""

    allowed: bool
    left: tuple[Left, ...] = ()
    free_at: datetime | None = None
    earliest: datetime | None = None
    why: str = ""

    @property
    def least(self) -> str:
        """What is left by the rule that leaves the least: "3 of 8 a minute". A gap that is free is told only where it is the one rule."""
        if not self.left:
            return "no limits"
        tight = min(self.left, key=lambda one: (one.rule.kind == "gap" and one.remaining > 0, one.remaining, one.rule.posts))
        return f"{tight.remaining} ({tight.rule})" if tight.rule.kind == "gap" else f"{tight.remaining} of {tight.rule}"


def left(rule: Rule, use: Use, now: datetime) -> Left:
    """One rule and what its window holds."""
    remaining = max(0, rule.posts - use.spent - use.reserved)
    if remaining:
        return Left(rule=rule, remaining=remaining)
    earliest = use.clears + rule.span if use.clears else None
    if use.leaves:
        return Left(rule=rule, remaining=0, free_at=use.leaves + rule.span, earliest=earliest)
    return Left(rule=rule, remaining=0, free_at=max(now + SOON, earliest or now), earliest=earliest, pending=True)


def quota(
    rules: Sequence[Rule],
    use: Callable[[Rule], Use],
    now: datetime,
    *,
    feed_id: int | None = None,
    ahead: Callable[[Rule], int] = lambda _: 0,
) -> Quota:
    """All rules of an entity, its own and the common ones, for one more post in a feed (None: in none; rules of feeds are only shown).

    `use` says what the window of a rule holds, `ahead` how many others wait for a place of it and come first.
    """
    states = tuple(left(rule, use(rule), now) for rule in rules)
    binding = [state for state in states if state.rule.feed_id in (None, feed_id)]
    closed = [state for state in binding if not state.remaining]
    crowded = [state for state in binding if 0 < state.remaining <= ahead(state.rule)]
    if not closed and not crowded:
        return Quota(allowed=True, left=states)
    why = [
        f"{text}: {'; '.join(str(s.rule) for s in some)}"
        for text, some in (("limit reached", closed), ("others wait for", crowded))
        if some
    ]
    return Quota(
        allowed=False,
        left=states,
        free_at=max((state.free_at for state in closed if state.free_at), default=now),
        earliest=max((state.earliest for state in closed if state.earliest), default=None),
        why="; ".join(why),
    )
