"""The gateway's part of a web process: started by the first request, with an owner's lock, threads for rows and one HTTP client.

It costs nothing before that, and next to nothing while nobody asks.
"""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from django.db import connection

from cluster.relay import Relay
from swwbot_site.gateway.keys import Keys
from swwbot_site.lib import clock, http
from swwbot_site.lib.ear import hear
from swwbot_site.lib.leases import BEAT, draw
from swwbot_site.lib.loops import Context
from swwbot_site.lib.threads import Threads
from swwbot_site.lib.wake import Channel

log = structlog.get_logger(__name__)

PACE_S: Final = 0.02
"""The least time between two rounds."""

RETRY_S: Final = 1.0
SWITCH_S: Final = 0.0005
"""How long a thread that touches rows may keep the loop that serves clients from running; Python's own is ten times as much."""

LEAVING_S: Final = 5.0
"""So long the last rows are waited for at the end."""


class Process:
    """What clients of this process wait on. Make it in the running event loop."""

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH_S)
        gc.freeze()  # what was made at the start stays: looking through all of it again and again stops everybody for a tenth of a second
        self._tasks: set[asyncio.Task[None]] = set()
        self._registered = asyncio.Event()
        stopping = asyncio.Event()
        self._rows = Threads(stopping)
        self.context = Context(owner=draw(), rows=self._rows, http=http.client(), stopping=stopping, spawn=self._spawn)
        self.relay = Relay(self.context)
        self.keys = Keys(self.context)
        for work in (self._hear(), self._turns(), self._beat()):
            self._spawn(work, "gateway")

    async def ready(self) -> None:
        """Wait until others know that this process lives: what it holds would be taken back before."""
        if not self._registered.is_set():
            await self._registered.wait()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("gateway.task_failed", task=task.get_name(), error=str(error), exc_info=error)

    def _heard(self, channel: Channel | None) -> None:
        """Somebody got a seat, or has begun to wait."""
        if channel in (None, Channel.RELAY) or (channel is Channel.SERVE and self.relay.busy):
            self.relay.bell.set()

    async def _hear(self) -> None:
        await self.context.rows(_follow_clock)
        await hear(self.context.owner, self._registered, self._heard, self.relay.forget)

    async def _turns(self) -> None:
        """The loop beside the requests. A round that fails is told and tried again."""
        rang = True
        while True:
            self.relay.bell.clear()
            try:
                pause = await self.relay.turn(rang=rang)
            except Exception:  # the outermost guard of a loop: it must not die of one bad row
                log.exception("gateway.turn_failed")
                pause = RETRY_S
            await asyncio.sleep(PACE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.relay.bell.wait(), pause)
            rang = self.relay.bell.is_set()

    async def _beat(self) -> None:
        """Renew what is held."""
        while True:
            await asyncio.sleep(BEAT.total_seconds())
            if self.relay.busy:
                try:
                    await self.context.rows(self.relay.renew, clock.now())
                except Exception:  # a heart that stops would cost every lease
                    log.exception("gateway.beat_failed")

    def stop(self) -> None:
        """Take nothing new, and give back every seat as soon as it is free."""
        self.context.stopping.set()
        self.relay.stop()

    async def end(self) -> None:
        """Give everything back and close what is open; for whoever ends the event loop in good order."""
        self.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.relay.stored(), LEAVING_S)
        await self.context.rows(self.relay.release)
        mine = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine)
        await self.context.http.aclose()
        await asyncio.to_thread(self._rows.close)


def _follow_clock() -> None:
    """Go by the database's clock, which all share: leases are moments that machines compare."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        clock.follow(cursor.fetchone()[0])


_processes: WeakKeyDictionary[asyncio.AbstractEventLoop, Process] = WeakKeyDictionary()


def here() -> Process:
    """The gateway's part of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _processes.get(loop)
    if found is None:
        found = _processes[loop] = Process()
    return found


def of(loop: asyncio.AbstractEventLoop) -> Process:
    """The gateway's part of an event loop. Raises KeyError if nothing was asked there yet."""
    return _processes[loop]


def close() -> None:
    """Stop taking requests, from whichever thread: the server was told to end."""
    for loop, process in list(_processes.items()):
        if not loop.is_closed():
            loop.call_soon_threadsafe(process.stop)


async def end() -> None:
    """End the gateway's part of the running event loop, if it has one."""
    if process := _processes.pop(asyncio.get_running_loop(), None):
        await process.end()
