"""Events as lines for people: idle, one short line a poll; busy, the story of each message; errors always."""

from collections.abc import Callable, Iterator
from datetime import datetime
from threading import Event as Stop
from typing import Final

import psycopg
from django.db import Error, connection

from swwbot_site.lib import clock
from swwbot_site.lib.events import Happening, Level
from swwbot_site.lib.wake import Channel
from swwbot_site.lib.words import short
from swwbot_site.models import Event

Write = Callable[[str], None]

TAGS: Final[dict[str, str]] = {
    "engine": "STARTUP",
    "shift": "STARTUP",
    "feed": "POLL",
    "poll": "POLL",
    "message": "QUEUE",
    "generation": "QUEUE",
    "queue": "QUEUE",
    "reply": "POST",
    "post": "POST",
    "posting": "STOP",
    "entity": "ENTITY",
    "permit": "LIMIT",
    "limit": "LIMIT",
    "config": "CONFIG",
    "settings": "CONFIG",
    "policy": "CONFIG",
    "server": "CLUSTER",
    "model": "CLUSTER",
    "placement": "CLUSTER",
    "cluster": "CLUSTER",
}
"""The tag of an event by the noun of its kind; an unknown noun is its own tag."""

SPECIAL: Final[dict[str, str]] = {
    "engine.ended": "SHUTDOWN",
    "engine.stopped": "SHUTDOWN",
    "engine.stopping": "SHUTDOWN",
    "reply.queued": "QUEUE",
    "reply.waits": "LIMIT",
    "reply.ready": "DONE",
    "reply.held": "HELD",
    "reply.dry": "DRY RUN",
    "reply.dropped": "FILTER",
    "posting.resumed": "START",
}
"""Kinds whose tag is not their noun's."""

CODES: Final[dict[str, str]] = {
    "ERROR": "1;31",
    "WARNING": "1;33",
    "POST": "1;32",
    "DONE": "32",
    "QUEUE": "36",
    "CLUSTER": "35",
    "CONFIG": "33",
    "STARTUP": "1;34",
    "SHUTDOWN": "1;34",
    "POLL": "90",
}
"""The terminal's colours of tags."""

OVERLAP: Final = 200
"""Ids behind the newest that are looked at again: of two events written at once the higher id may be seen first."""

FALLBACK_S: Final = 1.0
"""Seconds between two looks when nobody wakes us."""


def tag(happening: Happening) -> str:
    """The word in brackets; what is not well is ERROR or WARNING, whatever it is about."""
    if happening.level != Level.INFO:
        return Level(happening.level).upper()
    noun = happening.kind.partition(".")[0]
    return SPECIAL.get(happening.kind) or TAGS.get(noun, noun.upper())


def plain(text: str) -> str:
    """`text` on one line without control characters: a chat message must not steer a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def line(happening: Happening, at: datetime, *, colour: bool = False) -> str:
    """One line: local time, tag, text; what is not well names its subject, if the text does not."""
    word = tag(happening)
    text = plain(happening.text)
    subject = plain(happening.subject)
    if happening.level != Level.INFO and subject and subject.partition(":")[2] not in text:
        text = f"{subject}: {text}"
    if happening.detail.get("outgoing") and happening.detail.get("to"):
        text = f"{short(text, 90)} (POSTED {plain(str(happening.detail['outgoing']))} -> {plain(str(happening.detail['to']))})"
    clocked, label = f"{at.astimezone():%H:%M:%S}", f"[{word}]"
    if not colour:
        return f"{clocked} {label:<10} {text}"
    return f"\x1b[90m{clocked}\x1b[0m \x1b[{CODES.get(word, '37')}m{label:<10}\x1b[0m {text}"


def reporter(write: Write, *, colour: bool = False) -> Callable[[Happening], None]:
    """A listener for `events.listen` that writes what this process says."""

    def report(happening: Happening) -> None:
        write(line(happening, clock.now(), colour=colour))

    return report


def follow(stop: Stop, write: Write, *, colour: bool = False) -> None:
    """Write a line for every event that any process records from now on, until `stop` is set (seen within a second).

    Runs in a thread of its own, on that thread's connection, and outlives a restart of the database.
    """
    seen: set[int] | None = None
    while not stop.is_set():
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {Channel.EVENTS.value}")
            while not stop.is_set():
                if seen is None:
                    seen = {event.pk for event in _since(0)}
                for event in _since(max(seen, default=0) - OVERLAP):
                    if event.pk not in seen:
                        seen.add(event.pk)
                        write(line(happening(event), event.at, colour=colour))
                seen = {pk for pk in seen if pk > max(seen) - 2 * OVERLAP}
                _wait()
        except (Error, psycopg.Error) as exc:
            connection.close()
            write(
                line(
                    Happening(kind="console.lost", level=Level.ERROR, text=f"The events cannot be read: {exc}"), clock.now(), colour=colour
                )
            )
            stop.wait(FALLBACK_S)
    connection.close()


def happening(event: Event) -> Happening:
    """What was said, from its row."""
    return Happening(kind=event.kind, text=event.text, subject=event.subject, level=Level(event.level), detail=event.detail)


def _since(pk: int) -> Iterator[Event]:
    """The events after `pk`, oldest first; from 0 the newest few."""
    rows = Event.objects.filter(pk__gt=pk).order_by("pk")
    yield from rows if pk > 0 else reversed(Event.objects.order_by("-pk")[: 2 * OVERLAP])


def _wait() -> None:
    """Until somebody records an event, at most FALLBACK_S."""
    driver = connection.connection
    assert isinstance(driver, psycopg.Connection)
    for _ in driver.notifies(timeout=FALLBACK_S, stop_after=1):
        pass
