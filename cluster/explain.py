"""Why a request ran where it ran, why it waited before that, and what its model was loaded for: from rows, as values for people.

A score is shown under the strategy's own words for its numbers. Gains, costs and bars are counted in requests (see `logic.value`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cluster.logic.lifecycle import PlacementState
from cluster.models import Generation, Placement
from cluster.strategies import table
from swwbot_site.lib import clock
from swwbot_site.lib.words import span

MOMENT: Final = 1e9
"""A number of a score above this is a moment, seconds since 1970."""

ROOM_FOR: Final = timedelta(minutes=10)
"""What left for a model has left so long before its load, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A warm placement that came into question. `score` are the words and numbers by which it was compared, the first counting most."""

    server: str
    chosen: bool
    expected_s: float
    in_flight: int
    score: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """Requests served sooner (gain) and later (cost), and what the gain had to exceed (bar)."""

    gain: float
    cost: float
    bar: float

    def __str__(self) -> str:
        return f"gain {self.gain:g}, cost {self.cost:g}, bar {self.bar:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A model that left so that another one had room."""

    model: str
    gb: float
    worth: Worth | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model's way into memory. `seconds` of the load; None while it lasts, and of what somebody else loaded."""

    placement: int
    model: str
    server: str
    why: str
    at: datetime
    seconds: float | None
    worth: Worth | None
    caller: str
    preloaded: bool
    adopted: bool
    gone: tuple[Gone, ...]
    departure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try that failed. `retry`: elsewhere, here, or never."""

    server: str
    at: str
    code: str
    text: str
    retry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that was decided about one request. `waits` is why it waits, or the last reason why it did."""

    generation: int
    waits: str
    wait_s: float
    why: str
    strategy: str
    contenders: tuple[Contender, ...]
    loaded: Loaded | None
    hedged: str
    attempts: tuple[Attempt, ...]

    def lines(self) -> list[tuple[str, str]]:
        """What to say of it besides the contenders, each with what it is about."""
        waits = f"{span(self.wait_s)}: {self.waits}" if self.waits else span(self.wait_s)
        found = [("waited", waits), ("ran there", self.why), ("asked twice", self.hedged)]
        return [(name, text) for name, text in found if text] + (told(self.loaded) if self.loaded else [])


def told(loaded: Loaded) -> list[tuple[str, str]]:
    """What to say of a load, each with what it is about."""
    whose = "before anybody asked" if loaded.preloaded else f"for {loaded.caller}" if loaded.caller else ""
    took = f"in {span(loaded.seconds)}" if loaded.seconds is not None and not loaded.adopted else ""
    how = " ".join(part for part in (f"{loaded.at:%H:%M:%S} UTC", took, whose) if part)
    found = [("loaded", f"{how}: {loaded.why}" if loaded.why else how)]
    if loaded.worth:
        found.append(("load's worth", f"{loaded.worth} (requests served sooner, later, and what the gain had to exceed)"))
    found += [("made room", f"{one.model}, {one.gb:.1f} GB" + (f": {one.worth}" if one.worth else "")) for one in loaded.gone]
    if loaded.departure:
        found.append(("left", loaded.departure))
    return found


def explained(ids: Iterable[int]) -> dict[int, Explanation]:
    """The requests of these ids, each with a query or two; meant for one page."""
    rows = Generation.objects.filter(pk__in=list(ids)).select_related("placement__server", "placement__model")
    return {row.pk: explain(row) for row in rows}


def loaded(row: Placement) -> Loaded:
    """A placement's way into memory, and out of it."""
    went = row.departure if row.state in (PlacementState.UNLOADING, PlacementState.GONE) else {}
    return Loaded(
        placement=row.pk,
        model=row.model.key,
        server=row.server.name,
        why=row.reason,
        at=row.created_at,
        seconds=(row.loaded_at - row.created_at).total_seconds() if row.loaded_at else None,
        worth=_worth(row.scores),
        caller=row.caused_by,
        preloaded=row.preloaded,
        adopted=row.adopted,
        gone=_gone(row),
        departure=_departure(went),
    )


def _departure(went: Mapping[str, Any]) -> str:
    worth = _worth(went)
    return f"{went.get('why', '')}: {worth}" if worth else str(went.get("why", ""))


def _gone(row: Placement) -> tuple[Gone, ...]:
    """What left its server for it."""
    if row.adopted:
        return ()
    before = Placement.objects.filter(server=row.server_id, state=PlacementState.GONE, departure__for=row.model.key)
    when = before.filter(ended_at__gte=row.created_at - ROOM_FOR, ended_at__lte=row.created_at)
    return tuple(Gone(model=one.model.key, gb=one.gb, worth=_worth(one.departure)) for one in when.select_related("model").order_by("pk"))


def _worth(told: Mapping[str, Any]) -> Worth | None:
    names = ("gain", "cost", "bar")
    return Worth(**{name: float(told[name]) for name in names}) if all(name in told for name in names) else None


def explain(row: Generation) -> Explanation:
    """One request."""
    decision = row.decision
    until = row.seated_at or row.ended_at or clock.now()
    return Explanation(
        generation=row.pk,
        waits=decision.get("waits") or decision.get("waited") or "",
        wait_s=max(0.0, (until - row.queued_at).total_seconds()),
        why=decision.get("why", ""),
        strategy=decision.get("strategy", ""),
        contenders=contenders(decision),
        loaded=loaded(row.placement) if row.placement else None,
        hedged=_hedged(decision.get("hedged") or {}),
        attempts=attempts(row.tried),
    )


def contenders(decision: Mapping[str, Any]) -> tuple[Contender, ...]:
    """Who came into question, the best first."""
    strategy = table().get(decision.get("strategy", ""))
    terms = strategy.terms if strategy else ()
    return tuple(
        Contender(
            server=one["server"],
            chosen=one["server"] == decision.get("server"),
            expected_s=one["expected_s"],
            in_flight=one["in_flight"],
            score=_score(one["score"], terms),
        )
        for one in decision.get("candidates", ())
    )


def _score(numbers: Sequence[float], terms: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The numbers of a score under their words, the unnamed ones by their place."""
    named = [*terms, *(f"number {place}" for place in range(len(terms) + 1, len(numbers) + 1))]
    return tuple((name, _number(number)) for name, number in zip(named, numbers, strict=False))


def _number(number: float) -> str:
    if number > MOMENT:
        return f"{datetime.fromtimestamp(number, UTC):%H:%M:%S}"
    return f"{abs(number):.3g}"


def _hedged(told: Mapping[str, Any]) -> str:
    if not told:
        return ""
    text = f"{told.get('server')} as well, after {told.get('after_s', 0):g} s: {told.get('why')}"
    return f"{text}; {told['answers']} was first" if "answers" in told else text


def attempts(tried: Iterable[Mapping[str, Any]]) -> tuple[Attempt, ...]:
    """The tries that failed, in their order."""
    names = ("server", "at", "code", "text", "retry")
    return tuple(Attempt(**{name: str(one.get(name, "")) for name in names}) for one in tried)
