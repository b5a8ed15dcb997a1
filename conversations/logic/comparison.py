"""What a replay would have done beside what was done: message by message, and in sum."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any, Final

from conversations.logic.outcome import Outcome, Taken
from conversations.logic.recording import Given, Recording

USUAL_S: Final = 5.0
"""Seconds from a decision to its post, where no post of the recording tells them."""


class Kind(StrEnum):
    """How the answers to a message compare."""

    SAME = "same"
    NEW = "new"
    GONE = "gone"
    OTHER = "other entity"
    SILENT = "silent"


def kind(outcome: Outcome) -> Kind:
    """By who answers, then and now."""
    then, now = {one.slug for one in outcome.then}, {one.said.slug for one in outcome.now}
    if then == now:
        return Kind.SAME if now else Kind.SILENT
    if not then:
        return Kind.NEW
    return Kind.OTHER if now else Kind.GONE


def pace(recording: Recording) -> float:
    """Seconds from a decision to its post: the median of the recording."""
    took = [(one.accepted - one.decided).total_seconds() for one in recording.given if one.accepted is not None and one.posted]
    return max(0.0, median(took)) if took else USUAL_S


@dataclass(slots=True, kw_only=True)
class Report:
    """The sums. `limits` counts what limits did, by entity and reason; `then` and `now` count answers by entity."""

    decided: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    then: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    limits: Counter[tuple[str, str]] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)
    """Those that somebody answers, or answered, or that limits kept from it."""

    def add(self, outcome: Outcome) -> None:
        """One more message."""
        self.decided += 1
        found = kind(outcome)
        self.kinds[found] += 1
        self.then.update(one.slug for one in outcome.then)
        self.now.update(one.said.slug for one in outcome.now)
        self.why[str(outcome.told["why"])] += 1
        if found is not Kind.SILENT or outcome.refused:
            self.outcomes.append(outcome)

    def finish(self) -> None:
        """Everything has happened; what waited has been let through, or not."""
        for outcome in self.outcomes:
            self.limits.update((slug, f"refused: {_rule(why)}") for slug, why in outcome.refused.items())
            self.limits.update((one.said.slug, f"came to nothing: {_rule(one.late)}") for one in outcome.now if one.late)
            self.limits.update((one.said.slug, f"waited: {_rule(one.quota.why)}") for one in outcome.now if one.waited)

    @property
    def differences(self) -> int:
        """Messages that others would answer."""
        return sum(self.kinds[one] for one in (Kind.NEW, Kind.GONE, Kind.OTHER))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "decided": self.decided,
            "differences": self.differences,
            "kinds": {one.value: self.kinds[one] for one in Kind},
            "then": dict(sorted(self.then.items())),
            "now": dict(sorted(self.now.items())),
            "why": dict(self.why.most_common()),
            "limits": [{"entity": slug, "what": what, "times": n} for (slug, what), n in sorted(self.limits.items())],
            "messages": [document(one) for one in self.outcomes],
        }


def _rule(why: str) -> str:
    """A reason without the moments in it."""
    return why.partition("; not before")[0]


def document(outcome: Outcome) -> dict[str, Any]:
    """One message and its answers, as JSON."""
    line = outcome.heard.line
    return {
        "id": line.remote_id,
        "at": outcome.heard.arrived.isoformat(),
        "kind": kind(outcome).value,
        "username": line.username,
        "text": line.text[:500],
        "why": outcome.told["why"],
        "then": [_then(one) for one in outcome.then],
        "now": [_now(one) for one in outcome.now],
        "limits": dict(outcome.refused),
        "no": _asked(outcome.told["no"], [one.slug for one in outcome.then]),
    }


def _then(one: Given) -> dict[str, Any]:
    told = {"entity": one.slug, "mode": one.mode, "state": one.state, "chance": one.chance, "dice": one.dice}
    return told | {"text": one.text} if one.text else told | {"reason": one.reason}


def _now(one: Taken) -> dict[str, Any]:
    told = {"entity": one.said.slug, "as": one.said.username, **one.yes.document()}
    if one.quota.left:
        told["left"] = [{"rule": str(left.rule), "left": left.remaining} for left in one.quota.left]
    if one.waited is not None:
        told["waited_s"] = round((one.waited - one.said.decided).total_seconds(), 3)
    return told | ({"late": one.late} if one.late else {}) | ({"written": one.written} if one.written is not None else {})


def _asked(noes: Mapping[str, str], slugs: Iterable[str]) -> dict[str, str]:
    """Why those who answered then do not now."""
    return {slug: noes[slug] for slug in slugs if slug in noes}


def reason(outcome: Outcome) -> str:
    """Why those answer who do, in a line; and why those do not who did."""
    parts: list[str] = []
    for one in outcome.now:
        dice = "" if one.yes.chance is None or one.yes.dice is None else f", dice {one.yes.dice:.3f} of {one.yes.chance:.3f}"
        parts.append(f"{one.said.slug}: {', '.join(one.yes.rules)}{dice}{_late(one)}")
    now = {one.said.slug for one in outcome.now}
    gone: Sequence[str] = [one.slug for one in outcome.then if one.slug not in now]
    parts += [f"not {slug}: {outcome.refused.get(slug) or outcome.told['no'].get(slug) or outcome.told['why']}" for slug in gone]
    parts += [f"{slug} may not: {why}" for slug, why in outcome.refused.items() if slug not in gone]
    return "; ".join(parts) or str(outcome.told["why"])


def _late(one: Taken) -> str:
    if one.late:
        return f", but {one.late}"
    return f", after waiting {(one.waited - one.said.decided).total_seconds():.0f} s" if one.waited is not None else ""
