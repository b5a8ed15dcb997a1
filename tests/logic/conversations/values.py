"""Personas and lines for tables of cases."""

from datetime import UTC, datetime
from typing import Any

from conversations.logic.message import Line
from conversations.logic.verdict import Room
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
    """Now."""
    return Room(**{"now": NOW} | over)


def never(slug: str) -> float:
    """Dice that never fall for anybody."""
    return 0.999999


def always(slug: str) -> float:
    """Dice that fall for everybody with a chance."""
    return 0.0
