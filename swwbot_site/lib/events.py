"""What happened, for people: said once, heard by whoever listens.

`say` may be called inside a transaction; the listeners hear it after the commit, and nothing they do can break the speaker.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from django.db import transaction


class Level(StrEnum):
    """How loud."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line for people and its details for machines.

    `kind` is `noun.verb` in the past tense ("placement.loaded"), `subject` the row it is about ("server:mac-1"), `text` one
    sentence, `detail` JSON-able values.
    """

    kind: str
    text: str
    subject: str = ""
    level: Level = Level.INFO
    detail: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Happening], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> Listener:
    """Register a listener for this process; usable as a decorator. Registering twice is once."""
    if listener not in _listeners:
        _listeners.append(listener)
    return listener


def say(kind: str, text: str, *, subject: str = "", level: Level = Level.INFO, **detail: Any) -> None:
    """Tell every listener, after the running transaction commits."""
    happening = Happening(kind=kind, text=text, subject=subject, level=level, detail=detail)
    for listener in _listeners:
        transaction.on_commit(partial(listener, happening), robust=True)
