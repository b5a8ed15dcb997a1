"""The line before the limits in a replay: who waits, and who asks next."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from conversations.logic import turnstile
from conversations.logic.allowance import HERE, Allowance
from conversations.logic.lifecycle import ReplyState
from conversations.logic.outcome import Taken
from conversations.logic.recording import Heard

SOON: Final = turnstile.LOOK / 10_000
"""The least time between two looks at the line."""


@dataclass(slots=True, kw_only=True)
class Waiting:
    """Somebody in line."""

    taken: Taken
    heard: Heard
    number: int
    deadline: datetime
    ask_at: datetime

    @property
    def entity(self) -> int:
        """Whose line it is."""
        return self.taken.yes.persona.id


class Queue:
    """Everybody who waits. `grant` is called for whoever is let through."""

    def __init__(self, allowance: Allowance, grant: Callable[[Taken, Heard, datetime], None]) -> None:
        self._allowance, self._grant = allowance, grant
        self._waiting: list[Waiting] = []

    def join(self, one: Waiting) -> datetime:
        """Stand in line; returns when to look next."""
        self._waiting.append(one)
        return min(one.ask_at, one.deadline)

    def lines(self) -> dict[turnstile.Line, int]:
        """How many wait in each line."""
        lines: dict[turnstile.Line, int] = {}
        for one in self._waiting:
            lines[one.entity, HERE] = lines.get((one.entity, HERE), 0) + 1
        return lines

    def admit(self, now: datetime) -> datetime | None:
        """Whoever may ask now does: the first of each line, oldest line first. Returns when to look next."""
        for one in [one for one in self._waiting if one.deadline <= now]:
            self._drop(one, turnstile.TOO_LATE, now)
        asked: set[int] = set()
        while due := [one for one in self._heads() if one.ask_at <= now and one.number not in asked]:
            one = due[0]
            asked.add(one.number)
            quota = self._allowance.quota(one.taken.yes.persona.slug, now)
            if quota.allowed:
                self._waiting.remove(one)
                one.taken.waited = now
                self._grant(one.taken, one.heard, now)
            elif why := turnstile.hopeless(quota, one.deadline):
                self._drop(one, why, now)
            else:
                one.ask_at = turnstile.again(quota.free_at, now)
        moments = [*(one.ask_at for one in self._heads()), *(one.deadline for one in self._waiting)]
        return max(min(moments), now + SOON) if moments else None

    def _heads(self) -> list[Waiting]:
        """The first of each line: the most urgent, of those the oldest."""
        firsts: dict[int, Waiting] = {}
        for one in sorted(self._waiting, key=lambda one: (one.taken.wishes.priority, one.number)):
            firsts.setdefault(one.entity, one)
        return sorted(firsts.values(), key=lambda one: one.number)

    def _drop(self, one: Waiting, why: str, now: datetime) -> None:
        self._waiting.remove(one)
        one.taken.late = why
        one.taken.said.ended, one.taken.said.end = now, ReplyState.DROPPED
