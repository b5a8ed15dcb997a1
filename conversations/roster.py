"""Who works: the rows of engines, from their beginning over every beat of their hearts to their end."""

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from conversations.models import Engine
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import EVERYBODY, LEASE, alive, alone, living, who_lives
from swwbot_site.lib.loops import Loop
from swwbot_site.lib.written import Written, filled, together

log = structlog.get_logger(__name__)

ENGINES: Final = 2**31 - 1
"""The advisory lock under which engines begin; `draw` gives no owner this number."""

FAR_OFF: Final = timedelta(seconds=2)


def running(queue: str) -> int:
    """Engines that live on a queue and are not about to leave it."""
    return _alive().filter(cluster=queue).count()


def _alive() -> QuerySet[Engine]:
    rows = Engine.objects.filter(ended_at__isnull=True, leaving=False)
    there = living()
    return rows.filter(beat_at__gt=clock.now() - LEASE) if there == EVERYBODY else rows.filter(owner__in=there)


def begin(owner: int, queue: str) -> str:
    """Write down that this engine runs; returns why it must not. One at a time, so that of two the second sees the first."""
    _set_clock(together(TIME)[0][0][0])
    now = clock.now()
    with transaction.atomic():
        alone(ENGINES)
        others = _alive().exclude(owner=owner)
        if other := others.filter(cluster=queue).first():
            return f"engine {other.owner} works on this queue already"
        if not settings.ENABLE_MULTI_INSTANCE and (other := others.first()):
            return f"engine {other.owner} runs on {other.host}, and ENABLE_MULTI_INSTANCE is off"
        Engine.objects.create(
            owner=owner, cluster=queue, host=socket.gethostname(), pid=os.getpid(), version=settings.VERSION, started_at=now, beat_at=now
        )
        say("engine.started", f"Engine {owner} begins on {socket.gethostname()}", subject=f"engine:{owner}", pid=os.getpid())
    return ""


def _set_clock(theirs: datetime) -> None:
    """Go by the database's clock; say so if this machine's is far off."""
    off = clock.follow(theirs)
    if abs(off) > FAR_OFF:
        log.warning("clock.off", seconds=round(off.total_seconds(), 1), advice="set this machine's clock; the database's is used")


def leave(owner: int) -> None:
    """The shift is over: another engine may begin on this queue."""
    Engine.objects.filter(owner=owner).update(leaving=True)


def end(owner: int, why: str) -> None:
    Engine.objects.filter(owner=owner, ended_at__isnull=True).update(ended_at=clock.now(), end_reason=why)
    say("engine.ended", f"Engine {owner} ends: {why}", subject=f"engine:{owner}")


def complain(loop: str, error: Exception) -> None:
    say("engine.error", f"The {loop} loop failed and goes on: {type(error).__name__}: {error}", subject=f"loop:{loop}", level=Level.ERROR)


TIME: Final = "SELECT clock_timestamp()"
BEATS: Final = "UPDATE conversations_engine SET beat_at = %s WHERE owner = %s"
SILENT: Final = Written(
    lambda since: Engine.objects.filter(ended_at__isnull=True, beat_at__lt=since).order_by().values_list("pk")[:1], since=datetime
)
"""An engine that has not beaten for long."""


def heartbeat(owner: int, loops: Sequence[Loop]) -> None:
    """Renew what the loops hold, and take back what the dead held."""
    silent = SILENT.text(since=clock.now() - LEASE)
    [[theirs]], _, quiet, lives = together(TIME, filled(BEATS, [clock.now(), owner]), silent, who_lives())
    _set_clock(theirs)
    now, there = clock.now(), alive(lives)
    for loop in loops:
        if loop.renew:
            loop.renew(owner, now)
    for loop in loops:
        if loop.reap:
            loop.reap(now, there)
    if quiet:
        _bury(now, there)


def _bury(now: datetime, there: frozenset[int]) -> None:
    """Note the end of engines that died without a word."""
    if there == EVERYBODY:
        return
    dead = Engine.objects.filter(ended_at__isnull=True, beat_at__lt=now - LEASE).exclude(owner__in=there)
    if dead.update(ended_at=F("beat_at"), end_reason="it died"):
        say("engine.died", "An engine died without a word; what it held is taken back", level=Level.WARNING)
