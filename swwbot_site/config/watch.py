"""Configuration that arrives by itself: the file or folder CONFIG whenever it changes, and the addresses in the environment once.

A machine imports its copy of the file when that copy changed since the machine last read it. A machine that never read it imports it,
unless exactly this content was imported before: then it is an older copy, and two machines must not undo each other's imports.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from cluster import portable as cluster
from conversations import portable as conversations
from swwbot_site.config import ledger, sheaf
from swwbot_site.config.apply import Diff, apply
from swwbot_site.config.document import parse
from swwbot_site.config.part import FEED, SERVER
from swwbot_site.config.problems import DocumentError
from swwbot_site.config.sheaf import Stamp
from swwbot_site.lib import clock
from swwbot_site.lib.changes import Wanted
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import hookimpl
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import ConfigImport

EVERY_S: Final = 2.0
"""Seconds between two looks at the file."""


def changed(path: Path) -> Diff | None:
    """Import the file or folder if its content is news to this machine; None if not. Raises DocumentError and OSError."""
    content, source = sheaf.read(path), name(path)
    digest, mine = ledger.digest(content), ledger.mine(source)
    if mine is not None and mine.digest == digest and mine.outcome != ConfigImport.Outcome.REJECTED:
        return None
    last = ledger.last(source)
    if mine is None and last is not None and ledger.met(source, digest):
        _joined(last, digest)
        return None
    return apply(content, source)


def name(path: Path) -> str:
    """What an import of a file or folder is called."""
    return path.resolve().name


@transaction.atomic
def _joined(last: ConfigImport, digest: str) -> None:
    """Remember that this machine, new here, has the content of the last import, or an older one."""
    if last.digest == digest:
        ledger.note(
            last.source, digest, ConfigImport.Outcome.IMPORTED, clock.now(), version=last.version, said=last.said, retired=last.retired
        )
        return
    ledger.note(last.source, digest, ConfigImport.Outcome.STALE, clock.now())
    text = f"{ledger.host()} has an older copy of {last.source}; it is not imported. Copy the newest there, or change the file"
    say("config.stale", text, subject=f"config:{last.source}", level=Level.WARNING)


@transaction.atomic
def reject(path: Path, error: DocumentError | OSError) -> None:
    """Say that the file cannot be used, once for each content; what was imported last stays in force."""
    ledger.hold()
    source = name(path)
    digest = ledger.digest(f"{error}".encode() if isinstance(error, OSError) else sheaf.read(path))
    mine = ledger.mine(source)
    if mine is not None and mine.digest == digest:
        return
    ledger.note(source, digest, ConfigImport.Outcome.REJECTED, clock.now())
    problems = [str(problem) for problem in error.problems] if isinstance(error, DocumentError) else []
    text = f"{source} is not imported, the last good state stays: {error}"
    say("config.rejected", text, subject=f"config:{source}", level=Level.ERROR, problems=problems)


@dataclass(slots=True)
class Watch:
    """The loop that looks at one file or folder. A bad content is looked at twice before it is rejected: it may be half written."""

    path: Path
    seen: Stamp = ()
    doubted: Stamp = ()

    async def turn(self, context: Context) -> float:
        """Look once; returns when to look again."""
        now = sheaf.stamp(self.path)
        if now != self.seen:
            await context.rows(self.look, now)
        return EVERY_S

    def look(self, now: Stamp) -> None:
        """Import the file as it is at the stamp `now`, or reject it."""
        try:
            changed(self.path)
        except (DocumentError, OSError) as exc:
            if self.doubted != now:
                self.doubted = now
                return
            reject(self.path, exc)
        self.seen = now


@hookimpl
def engine_loops() -> Sequence[Loop]:
    """The engine's loop that watches CONFIG, if there is such a file to watch."""
    if not settings.CONFIG:
        return ()
    return (Loop(name="settings", channel=Channel.SETTINGS, turn=Watch(path=Path(settings.CONFIG)).turn),)


def seed_from_environment() -> tuple[str, ...]:
    """Make a server of LM_STUDIO_URL and a feed of FEED_URL where no row has that address; returns a sentence for each made.

    The server gets 32 GB for models until somebody knows better. Raises DocumentError if a setting is no such address.
    """
    servers = [{"url": settings.LM_STUDIO_URL, "enabled": True}] if settings.LM_STUDIO_URL else []
    feeds = [{"url": settings.FEED_URL, "generation": settings.FEED_GENERATION}] if settings.FEED_URL else []
    document = parse(json.dumps({"lmStudioServers": servers, "feeds": feeds}))
    told: list[str] = []
    with transaction.atomic():
        ledger.hold()
        machines, backends = _urls(cluster.servers()), _urls(conversations.feeds())
        for part in document.of(SERVER):
            if part.said["url"] not in machines:
                cluster.put_servers([Wanted(name=part.name, said=part.said, assumed=part.assumed)])
                told.append(
                    f"Server {part.name} made from LM_STUDIO_URL, with {part.assumed['budget_gb']:g} GB for models; change that in the admin."
                )
        for part in document.of(FEED):
            if part.said["url"] not in backends:
                conversations.put_feeds([Wanted(name=part.name, said=part.said, assumed=part.assumed)])
                told.append(f"Feed {part.name} made from FEED_URL.")
        if told:
            wake(Channel.SETTINGS, Channel.SERVE, Channel.LISTEN)
        for text in told:
            say("config.seeded", text, subject="config:environment")
    return tuple(told)


def _urls(rows: Sequence[dict[str, Any]]) -> set[str]:
    return {row["url"] for row in rows}
