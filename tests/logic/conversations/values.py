"""Personas and lines for tables of cases."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from conversations.logic.ambient import Means
from conversations.logic.cast import Cast
from conversations.logic.detection import question
from conversations.logic.loopguard import Run
from conversations.logic.message import Line
from conversations.logic.signals import Signals
from conversations.logic.verdict import Room, Scene, Verdict, decide
from entities.logic.persona import Persona

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)


def persona(slug: str = "ping", **over: Any) -> Persona:
    """One that is called Ping and never speaks by chance."""
    values: dict[str, Any] = {"id": sum(map(ord, slug)), "slug": slug, "username": slug.title(), "color": "128000255"}
    return Persona(**values | over)


def line(text: str = "Hello there", **over: Any) -> Line:
    """A human's, just now."""
    values: dict[str, Any] = {"id": 1, "remote_id": "m-1", "text": text, "username": "Ann", "timestamp": MS}
    return Line(**values | over)


def bot(text: str, username: str, **over: Any) -> Line:
    """A bot's line."""
    return line(text, **{"kind": "AI", "username": username} | over)


def room(**over: Any) -> Room:
    """Now. `bots`, `underway`, `cap` and `decay` are of the run of bots."""
    run = {name: over.pop(name) for name in ("bots", "underway", "cap", "decay") if name in over}
    return Room(**{"now": NOW, "run": Run(**run)} | over)


def scene(message: Line, cast: Cast, where: Room | None = None, **signals: Any) -> Scene:
    """A message with what the analysis finds in its text."""
    found: dict[str, Any] = {"mentions": cast.called(message.text), "triggers": cast.triggered(message.text), "silence_s": 5.0}
    found["why_question"] = question(message.text)
    found["question"] = bool(found["why_question"])
    return Scene(message=message, window=(), room=where or room(), signals=Signals(**found | signals))


def judged(
    message: Line, personas: Iterable[Persona], where: Room | None = None, dice: Callable[[str], float] = lambda _: 0.0, **means: Any
) -> Verdict:
    """The verdict on a message; dice fall for everybody with a chance."""
    cast = Cast.of(personas)
    return decide(scene(message, cast, where), cast.audience, Means(dice=dice, **means))


def never(slug: str) -> float:
    """Dice that never fall for anybody."""
    return 0.999999


def always(slug: str) -> float:
    """Dice that fall for everybody with a chance."""
    return 0.0
