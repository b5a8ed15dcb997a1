"""What must hold in a chaos run, as questions to values; each gives sentences about what does not.

Answered twice. A generation is answered by whoever writes the whole answer; until then nobody has got anything of it, and it may be
asked again: after a failure before or after the first token, for its caller sees only the end. So, as the servers saw it:

* a server's complete answer is stored, and no second one is asked for, unless the engine that asked died before it could store it
  (it dies with its connections; the answer is lost between two machines, which no protocol without a receipt can prevent);
* no generation is asked twice at the same time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.chaos.witness import Call

STORING_S: Final = 3.0
"""An engine that dies may take with it what was answered so long before."""

HANGING_UP_S: Final = 1.0
"""Until a server on a busy machine notices that its client has gone."""

EPSILON_GB: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A placement that holds memory. `made` orders them."""

    server: str
    made: float
    gb: float
    adopted: bool
    seats: int = 0


def overfull(held: Iterable[Held], budgets: Mapping[str, float]) -> list[str]:
    """No reservation of ours goes beyond a budget, given what was known to be there before it."""
    wrong = []
    used: defaultdict[str, float] = defaultdict(float)
    for one in sorted(held, key=lambda h: h.made):
        used[one.server] += one.gb
        if not one.adopted and used[one.server] > budgets[one.server] + EPSILON_GB:
            wrong.append(f"{used[one.server]:.2f} GB are placed on {one.server}, which has {budgets[one.server]:.2f}")
    return wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One generation at the end of the run. `number` is the one in its request; `tried` are the codes of its failed attempts."""

    number: int
    state: str
    text: str = ""
    server: str = ""
    error: str = ""
    attempts: int = 0
    tried: Sequence[str] = ()
    deadline: float | None = None
    ended: float | None = None
    cancelled: bool = False
    """Whether its caller called it off."""


def lost(submitted: Iterable[int], rows: Sequence[Asked], max_attempts: int) -> list[str]:
    """Every request has exactly one row, and that has ended: done, or with a reason that is a reason."""
    numbers = [row.number for row in rows]
    wrong = [f"no. {number} has {numbers.count(number)} rows" for number in submitted if numbers.count(number) != 1]
    return wrong + [f"no. {row.number} ended wrongly: {why}" for row in rows if (why := _unjustified(row, max_attempts))]


def _unjustified(row: Asked, max_attempts: int) -> str:
    match row.state:
        case "done":
            return "" if row.text else "done, without a text"
        case "expired":
            late = row.deadline is not None and row.ended is not None and row.error != ""
            return "" if late else f"expired: {row.error!r}, deadline {row.deadline}, ended {row.ended}"
        case "cancelled":
            return "" if row.cancelled else "cancelled, by nobody"
        case "failed":
            spent = row.attempts >= max_attempts and len(row.tried) >= max_attempts and row.error != ""
            return "" if spent else f"failed after {row.attempts} attempts ({', '.join(row.tried)}): {row.error!r}"
    return f"it is {row.state}"


@dataclass(slots=True, kw_only=True)
class Deaths:
    """When engines died, and when the database was away; moments of the monotonic clock."""

    killed: list[float] = field(default_factory=list)
    away: list[tuple[float, float]] = field(default_factory=list)

    def excuse(self, completed: float) -> bool:
        """Whether an answer completed then may have died with the engine that was to store it."""
        until = max([completed + STORING_S, *(up + STORING_S for down, up in self.away if down - STORING_S <= completed <= up)])
        return any(completed - HANGING_UP_S <= moment <= until for moment in self.killed)


def twice(rows: Iterable[Asked], calls: Iterable[Call], deaths: Deaths) -> list[str]:
    """Nothing is answered twice, nor with what was never said; see the head of this module."""
    by_number: defaultdict[int, list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda c: c.began):
        by_number[call.number].append(call)
    wrong = []
    for row in rows:
        mine = by_number[row.number]
        whole = [call for call in mine if call.completed is not None]
        spare = [call for call in whole if not deaths.excuse(call.completed or 0.0)]
        if row.state == "done" and not any(call.text.strip() == row.text.strip() and call.server == row.server for call in whole):
            wrong.append(f"no. {row.number} keeps a text that {row.server} never said")
        if len(spare) > 1:
            wrong.append(f"no. {row.number} was answered {len(spare)} times, on {', '.join(call.server for call in spare)}")
        if row.state in ("failed", "expired") and spare:
            wrong.append(f"no. {row.number} was answered by {spare[0].server}, and is {row.state}: {row.error}")
        for before, after in pairwise(mine):
            if before.ended is None or before.ended > after.began + HANGING_UP_S:
                wrong.append(f"no. {row.number} was asked on {after.server} while {before.server} was at it")
    return wrong


def harmed(name: str, budget: int, peak: int, overbooked: Sequence[str], killed: Sequence[str]) -> list[str]:
    """A server was never given more by us than it has, and never lost a busy model through us. Bytes."""
    wrong = [f"{name} was unloaded under a running answer by us: {', '.join(killed)}"] if killed else []
    if peak > budget:
        wrong.append(f"{name} held {peak} bytes of ours, and has {budget}")
    if overbooked:
        wrong.append(f"{name} refused loads for which it had too little even without others: {', '.join(overbooked)}")
    return wrong
