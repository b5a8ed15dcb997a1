"""Servers, loads and queues as they are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cluster.programs import PREFIX, Program
from cluster.read import Held, Machine, Overview
from cluster.waiting import Waiting

NAMED: Final = 4
"""So many models of a program are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """A load under way. `expected_s` is how long it should take, counted from `since`."""

    model: str
    server: str
    hue: int
    gb: float
    since: datetime
    expected_s: float
    caller: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One model in a server's memory bar: where it begins and ends, in percent of the bar."""

    model: str
    instance: str
    state: str
    gb: float
    slots: int
    in_flight: int
    speed: int | None
    """Tokens a second, as learned."""
    rest_until: datetime | None
    x: float
    width: float
    hue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One server as it is drawn. `mood` is its colour: good, busy, warn, bad, off. `breaker`: closed, open, half-open."""

    id: int
    name: str
    mood: str
    word: str
    reason: str
    retry_at: datetime | None
    breaker: str
    failures: int
    segments: tuple[Segment, ...]
    percent: int
    held_gb: float
    budget_gb: float
    in_flight: int
    slots: int
    dialect: str
    latency_ms: int | None
    seen_at: datetime | None
    small: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What waits for one model. `urgent` of them have a priority up to 9."""

    model: str
    hue: int
    count: int
    urgent: int
    since: datetime
    bands: tuple[tuple[str, int], ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A program's line: what it asks now and what it was answered lately. `more` models are not named."""

    name: str
    caller: str
    waiting: int
    running: int
    done: int
    failed: int
    tokens: int
    models: tuple[tuple[str, int], ...]
    more: int
    last: datetime | None
    partial: bool


def card(server: Machine, hues: Mapping[str, int], now: datetime, *, small: bool = False) -> Card:
    """A server's place on the page."""
    full = max(server.budget_gb, server.held_gb) or 1.0
    segments, x = [], 0.0
    for held in sorted(server.held, key=lambda one: (-one.gb, one.instance)):
        width = 100 * held.gb / full
        segments.append(_segment(held, x, width, hues[held.model], now))
        x += width
    mood, word = _mood(server)
    return Card(
        id=server.id,
        name=server.name,
        mood=mood,
        word=word,
        reason=server.reason,
        retry_at=server.retry_at,
        breaker=_breaker(server, now),
        failures=server.failures,
        segments=tuple(segments),
        percent=round(100 * server.held_gb / full),
        held_gb=server.held_gb,
        budget_gb=server.budget_gb,
        in_flight=server.in_flight,
        slots=server.slots,
        dialect=server.dialect,
        latency_ms=None if server.latency_ms is None else round(server.latency_ms),
        seen_at=server.seen_at,
        small=small,
    )


def _segment(held: Held, x: float, width: float, hue: int, now: datetime) -> Segment:
    return Segment(
        model=held.model,
        instance=held.instance,
        state=held.state,
        gb=held.gb,
        slots=held.slots,
        in_flight=held.in_flight,
        speed=None if held.tokens_per_s is None else round(held.tokens_per_s),
        rest_until=held.rest_until if held.rest_until and held.rest_until > now else None,
        x=round(x, 2),
        width=round(width, 2),
        hue=hue,
    )


def _mood(server: Machine) -> tuple[str, str]:
    if not server.enabled:
        return "off", "switched off"
    if server.state == "online":
        if server.draining:
            return "warn", "draining"
        loading = any(one.state == "loading" for one in server.held)
        return ("busy", "loading") if loading else ("busy", "answering") if server.in_flight else ("good", "online")
    words = {"unknown": "not seen yet", "misconfigured": "misconfigured", "rate-limited": "rate-limited"}
    return ("warn", words[server.state]) if server.state in words else ("bad", server.state)


def _breaker(server: Machine, now: datetime) -> str:
    if server.state in ("online", "unknown"):
        return "closed"
    return "open" if server.retry_at and server.retry_at > now else "half-open"


def loads(view: Overview, hues: Mapping[str, int]) -> tuple[Loading, ...]:
    """What is on its way into memory, the oldest first."""
    found = [
        Loading(
            model=held.model,
            server=server.name,
            hue=hues[held.model],
            gb=held.gb,
            since=held.since,
            expected_s=round(held.expected_s or 0.0, 1),
            caller="" if held.preloaded else held.caller,
            why=held.why,
        )
        for server in view.servers
        for held in server.held
        if held.state == "loading"
    ]
    return tuple(sorted(found, key=lambda one: (one.since, one.server)))


def asker(program: Program) -> Asker:
    """A program's line."""
    return Asker(
        name=program.name,
        caller=f"{PREFIX}{program.name}",
        waiting=program.waiting,
        running=program.running,
        done=program.done,
        failed=program.failed,
        tokens=program.tokens,
        models=program.models[:NAMED],
        more=len(program.models[NAMED:]),
        last=program.last,
        partial=program.partial,
    )


def row(waiting: Waiting, hue: int) -> Row:
    """A model's line in the queue."""
    bands = tuple(waiting.bands.items())
    urgent = sum(number for name, number in bands if name == "critical")
    return Row(model=waiting.model, hue=hue, count=waiting.count, urgent=urgent, since=waiting.since, bands=bands, why=waiting.why)
