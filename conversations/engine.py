"""The engine: the three loops side by side in one asyncio program, for one shift.

Rows are touched in threads with lasting connections, the network on one client. Beside the loops it listens for wake-ups, beats
its heart, takes back what dead engines held, and watches for the end of the shift.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import psycopg
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from conversations.models import Engine
from swwbot_site.lib import clock, http
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import load, manager
from swwbot_site.lib.leases import BEAT, LEASE, SPACE, alone, draw, living
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.threads import Threads
from swwbot_site.lib.wake import Channel

log = structlog.get_logger(__name__)

SHIFT_OVER: Final = "the shift is over"
STEADY_S: Final = 0.5
RETRY_S: Final = 1.0

ENGINES: Final = 2**31 - 1
"""The advisory lock under which engines begin; `draw` gives no owner this number."""


def running(queue: str) -> int:
    """Engines that live on a queue."""
    return Engine.objects.filter(cluster=queue, ended_at__isnull=True, owner__in=living()).count()


async def run(queue: str, ended: Callable[[], str], seconds: float) -> str:
    """Run every loop of the project for `seconds`, or until `ended` gives a reason. Returns why it ended."""
    shift = _Shift(queue, ended)
    try:
        await shift.work(seconds)
    finally:
        await shift.context.http.aclose()
        await asyncio.to_thread(shift.rows.close)
    return shift.why


class _Shift:
    """One run of the engine and what it holds."""

    def __init__(self, queue: str, ended: Callable[[], str]) -> None:
        self.queue = queue
        self.ended = ended
        self.why = SHIFT_OVER
        self.stopping = asyncio.Event()
        self.registered = asyncio.Event()
        self.rows = Threads(self.stopping)
        self.beside: set[asyncio.Task[None]] = set()
        self.context = Context(owner=draw(), rows=self.rows, http=http.client(), stopping=self.stopping, spawn=self.spawn)

    def stop(self, reason: str) -> None:
        """End the shift, for the first reason that is given."""
        if not self.stopping.is_set():
            self.why = reason
            self.stopping.set()
            for bell in self.context.bells.values():
                bell.set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run work beside the loops; what it raises is logged, for nobody waits for it."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.beside.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.beside.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("engine.task_failed", task=task.get_name(), error=str(error), exc_info=error)

    async def work(self, seconds: float) -> None:
        """The shift, from the first lease to the last."""
        load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
        loops = [one for group in manager.hook.engine_loops() for one in group]
        ear = asyncio.create_task(self._hear())
        await self.registered.wait()
        refused = await self.rows(_begin, self.context.owner, self.queue)
        if refused:
            self.stop(refused)
            ear.cancel()
            await asyncio.wait([ear])
            return
        workers = [asyncio.create_task(self._turns(one), name=one.name) for one in loops]
        heart = asyncio.create_task(self._beat(loops))
        try:
            await asyncio.wait_for(self._watch(), seconds)
        except TimeoutError:
            self.stop(SHIFT_OVER)
        await asyncio.wait(workers)
        await asyncio.gather(*(one.finish(self.context) for one in loops if one.finish))
        heart.cancel()
        if self.beside:
            await asyncio.wait(list(self.beside), timeout=1)
        await self.rows(_end, self.context.owner, self.why)
        ear.cancel()
        await asyncio.wait([heart, ear])

    async def _turns(self, loop: Loop) -> None:
        """One loop, turn after turn, until the shift ends. A turn that fails is told and tried again."""
        bell = self.context.bells[loop.channel]
        while not self.stopping.is_set():
            bell.clear()
            try:
                pause = await loop.turn(self.context)
            except Exception as error:  # the outermost guard of a loop: it must not die of one bad row
                log.exception("engine.turn_failed", loop=loop.name)
                await self.rows(_complain, loop.name, error)
                pause = RETRY_S
            try:
                await asyncio.wait_for(bell.wait(), pause)
            except TimeoutError:
                continue

    async def _watch(self) -> None:
        """Look whether the shift should end before its time."""
        while not self.stopping.is_set():
            reason = await asyncio.to_thread(self.ended)
            if reason:
                self.stop(reason)
            try:
                await asyncio.wait_for(self.stopping.wait(), STEADY_S)
            except TimeoutError:
                continue

    async def _hear(self) -> None:
        """Hold this engine's lock on a connection of its own, and ring the bell of whoever is woken on it."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as ear:
                    await ear.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, self.context.owner])
                    for channel in Channel:
                        await ear.execute(f"LISTEN {channel.value}")
                    self.registered.set()
                    for bell in self.context.bells.values():
                        bell.set()
                    async for notice in ear.notifies():
                        if notice.channel == Channel.STOP:
                            self.stop("told to stop")
                        if notice.channel == Channel.SETTINGS:
                            for bell in self.context.bells.values():
                                bell.set()
                        self.context.bells[Channel(notice.channel)].set()
            except psycopg.OperationalError as error:
                log.warning("engine.deaf", error=str(error))
                await asyncio.sleep(RETRY_S)

    async def _beat(self, loops: list[Loop]) -> None:
        """Renew what this engine holds, and take back what dead ones held."""
        while True:
            try:
                await self.rows(_heartbeat, self.context.owner, loops)
            except Exception:  # a heart that stops would cost every lease
                log.exception("engine.beat_failed")
            await asyncio.sleep(BEAT.total_seconds())


def _parameters() -> dict[str, Any]:
    """How to reach the database, for a connection that is not Django's."""
    return {
        key: value
        for key, value in connection.get_connection_params().items()
        if key not in ("cursor_factory", "context", "prepare_threshold")
    }


def _begin(owner: int, queue: str) -> str:
    """Write down that this engine runs; returns why it must not. One at a time, so that of two the second sees the first."""
    now = clock.now()
    with transaction.atomic():
        alone(ENGINES)
        others = Engine.objects.filter(ended_at__isnull=True, owner__in=living()).exclude(owner=owner)
        if other := others.filter(cluster=queue).first():
            return f"engine {other.owner} works on this queue already"
        if not settings.ENABLE_MULTI_INSTANCE and (other := others.first()):
            return f"engine {other.owner} runs on {other.host}, and ENABLE_MULTI_INSTANCE is off"
        Engine.objects.create(
            owner=owner, cluster=queue, host=socket.gethostname(), pid=os.getpid(), version=settings.VERSION, started_at=now, beat_at=now
        )
        say("engine.started", f"Engine {owner} begins on {socket.gethostname()}", subject=f"engine:{owner}", pid=os.getpid())
    return ""


def _end(owner: int, why: str) -> None:
    Engine.objects.filter(owner=owner, ended_at__isnull=True).update(ended_at=clock.now(), end_reason=why)
    say("engine.ended", f"Engine {owner} ends: {why}", subject=f"engine:{owner}")


def _complain(loop: str, error: Exception) -> None:
    say("engine.error", f"The {loop} loop failed and goes on: {type(error).__name__}: {error}", subject=f"loop:{loop}", level=Level.ERROR)


def _heartbeat(owner: int, loops: list[Loop]) -> None:
    now = clock.now()
    Engine.objects.filter(owner=owner).update(beat_at=now)
    for loop in loops:
        if loop.renew:
            loop.renew(owner, now)
    alive = living()
    for loop in loops:
        if loop.reap:
            loop.reap(now, alive)
    _bury(now, alive)


def _bury(now: datetime, alive: set[int]) -> None:
    """Note the end of engines that died without a word."""
    dead = Engine.objects.filter(ended_at__isnull=True, beat_at__lt=now - LEASE).exclude(owner__in=alive)
    if dead.update(ended_at=F("beat_at"), end_reason="it died"):
        say("engine.died", "An engine died without a word; what it held is taken back", level=Level.WARNING)
