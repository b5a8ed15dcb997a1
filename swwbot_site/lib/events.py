"""What happened, for people: said once, heard by whoever listens.

`say` may be called inside a transaction; the listeners hear it after the commit, and after them the plugins (the hook `on_event`).
Nothing they do can break the speaker. What a plugin says while it hears an event is heard by the listeners, but by no plugin: two of them
could answer each other for ever.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from swwbot_site.lib import hooks

log = structlog.get_logger(__name__)
_telling: ContextVar[bool] = ContextVar("telling", default=False)
"""Whether a plugin is hearing an event at the moment."""


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
        _later(listener, happening)
    if not _telling.get():
        _later(_plugins, happening)


def _later(hear: Listener, happening: Happening) -> None:
    """After the commit. A function of its own, because Django cannot log the failure of a partial one and raises in its place."""

    def call() -> None:
        hear(happening)

    transaction.on_commit(call, robust=True)


def _plugins(happening: Happening) -> None:
    """Tell the plugins, one by one."""
    hooks.load(settings.PLUGINS)
    mark = _telling.set(True)
    try:
        for name, hear in hooks.calls("on_event", event=happening):
            try:
                hear()
            except Exception:
                log.exception("plugin.failed", plugin=name, hook="on_event", about=happening.kind)
    finally:
        _telling.reset(mark)
