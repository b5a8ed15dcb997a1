"""How long each stage of an answer took, as bars on one line of time. Pure: moments in, percent out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from conversations.trace import Step

KINDS: Final = {
    "received": ("shown by the feed", "listen"),
    "decided": ("decided", "listen"),
    "permit": ("allowed by its limits", "wait"),
    "queued": ("put into the queue", "wait"),
    "seated": ("got a seat", "wait"),
    "ready": ("model in memory", "load"),
    "asked": ("asked", "wait"),
    "first token": ("prompt read, first token", "write"),
    "done": ("written", "write"),
    "cleaned": ("cleaned", "post"),
    "posted": ("taken by the feed", "post"),
}
"""What the end of a stage means, and its colour; what is not here is the last one."""

OLD_S: Final = 30.0
"""What was said longer before we saw it is left out of the picture: everything else would be a dot."""

LEAST: Final = 0.4
"""The narrowest bar, percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One bar: from the end of the stage before to its own, in percent of the whole. `at` None: not passed (yet)."""

    name: str
    kind: str
    at: datetime | None
    took_s: float | None
    x: float = 0.0
    width: float = 0.0
    note: str = ""


def stages(steps: Sequence[Step]) -> tuple[Stage, ...]:
    """The steps as bars; the first one is where the time begins. A step before its predecessor took no time."""
    passed = [step.at for step in steps if step.at]
    if not passed:
        return ()
    first, last = passed[0], max(passed)
    if len(passed) > 1 and (passed[1] - first).total_seconds() > OLD_S:
        first = passed[1]
    whole = max((last - first).total_seconds(), 0.001)
    found, before = [], passed[0]
    for step in steps[1:]:
        name, kind = KINDS.get(step.name, (step.name, "post"))
        if step.at is None:
            found.append(Stage(name=name, kind=kind, at=None, took_s=None, note=step.note))
            continue
        begin, end = max(before, first), max(before, step.at, first)
        width = max(LEAST, 100 * (end - begin).total_seconds() / whole)
        x = min(100 * (begin - first).total_seconds() / whole, 100 - LEAST)
        took = max(0.0, (step.at - before).total_seconds())
        found.append(
            Stage(name=name, kind=kind, at=step.at, took_s=took, x=round(x, 2), width=round(min(width, 100 - x), 2), note=step.note)
        )
        before = max(before, step.at)
    return tuple(found)
