"""The engine: the three loops side by side in one asyncio program, for one shift.

Rows are touched in threads with lasting connections, the network on one client. Beside the loops it listens for wake-ups, beats
its heart, takes back what dead engines held, and watches for the end of the shift.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import structlog
from django.conf import settings

from conversations import roster
from swwbot_site.lib import http
from swwbot_site.lib.ear import hear
from swwbot_site.lib.hooks import load, manager
from swwbot_site.lib.leases import BEAT, draw
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.threads import Threads
from swwbot_site.lib.wake import Channel

log = structlog.get_logger(__name__)

SHIFT_OVER: Final = "the shift is over"
STEADY_S: Final = 0.5
RETRY_S: Final = 1.0
LONG_S: Final = 0.02
"""Up to here a turn is short."""


async def run(queue: str, ended: Callable[[], str], seconds: float, hand_over: Callable[[], object] = lambda: None) -> str:
    """Run every loop of the project for `seconds`, or until `ended` gives a reason. Returns why it ended.

    When its time is over, `hand_over` calls the next engine, and this one finishes what it has in flight beside it.
    """
    shift = _Shift(queue, ended, hand_over)
    try:
        await shift.work(seconds)
    finally:
        await shift.context.http.aclose()
        await asyncio.to_thread(shift.rows.close)
    return shift.why


class _Shift:
    """One run of the engine and what it holds."""

    def __init__(self, queue: str, ended: Callable[[], str], hand_over: Callable[[], object]) -> None:
        self.queue = queue
        self.ended = ended
        self.hand_over = hand_over
        self.why = SHIFT_OVER
        self.stopping = asyncio.Event()
        self.hurry = asyncio.Event()
        self.registered = asyncio.Event()
        self.rows = Threads(self.stopping)
        self.beside: set[asyncio.Task[None]] = set()
        self.context = Context(owner=draw(), rows=self.rows, http=http.client(), stopping=self.stopping, hurry=self.hurry, spawn=self.spawn)

    def stop(self, reason: str) -> None:
        """End the shift, for the first reason that is given. Only at the end of its time may it take its time."""
        if reason != SHIFT_OVER or settings.WORKERS == 1:  # a single worker is needed for the next engine
            self.hurry.set()
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
        watch = asyncio.create_task(self._watch())
        ear = asyncio.create_task(hear(self.context.owner, self.registered, self._heard, lambda: None))
        await _first(self.registered, self.stopping)
        refused = "" if self.stopping.is_set() else await self.rows(roster.begin, self.context.owner, self.queue)
        if refused:
            self.stop(refused)
        if not self.stopping.is_set():
            await self._serve(loops, seconds)
            await self.rows(roster.end, self.context.owner, self.why)
        for task in (watch, ear):
            task.cancel()
        await asyncio.wait([watch, ear])

    async def _serve(self, loops: list[Loop], seconds: float) -> None:
        """Run the loops until it is time, then let them finish."""
        workers = [asyncio.create_task(self._turns(one), name=one.name) for one in loops]
        heart = asyncio.create_task(self._beat(loops))
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            await self.rows(roster.leave, self.context.owner)
            await self.rows(self.hand_over)
            self.stop(SHIFT_OVER)
        await asyncio.wait(workers)
        await asyncio.gather(*(one.finish(self.context) for one in loops if one.finish))
        heart.cancel()
        await asyncio.wait([heart])
        if self.beside:
            await asyncio.wait(list(self.beside), timeout=1)

    async def _turns(self, loop: Loop) -> None:
        """One loop, turn after turn, until the shift ends. A turn that fails is told and tried again."""
        bell, clock = self.context.bells[loop.channel], asyncio.get_running_loop().time
        while not self.stopping.is_set():
            bell.clear()
            begun = clock()
            try:
                pause = await loop.turn(self.context)
            except Exception as error:  # the outermost guard of a loop: it must not die of one bad row
                log.exception("engine.turn_failed", loop=loop.name)
                await self.rows(roster.complain, loop.name, error)
                pause = RETRY_S
            took = clock() - begun
            try:
                await asyncio.wait_for(bell.wait(), pause)
            except TimeoutError:
                continue
            # What rings meanwhile is done in one turn. A turn that took long is not begun again at once: others use the database too.
            await _rest(begun + max(loop.pace_s, 2 * took - LONG_S) - clock(), self.stopping)

    async def _watch(self) -> None:
        """Look whether the shift should end before its time, or faster."""
        while not self.hurry.is_set():
            reason = await asyncio.to_thread(self.ended)
            if reason:
                self.stop(reason)
            await asyncio.sleep(STEADY_S)

    def _heard(self, channel: Channel | None) -> None:
        """Ring the bell of whoever is woken on a channel."""
        if channel is Channel.STOP:
            self.stop("told to stop")
        for each in Channel if channel in (None, Channel.SETTINGS) else (channel,):
            self.context.bells[each].set()

    async def _beat(self, loops: list[Loop]) -> None:
        """Renew what this engine holds, and take back what dead ones held."""
        while True:
            try:
                await self.rows(roster.heartbeat, self.context.owner, loops)
            except Exception:  # a heart that stops would cost every lease
                log.exception("engine.beat_failed")
            await asyncio.sleep(BEAT.total_seconds())


async def _rest(seconds: float, event: asyncio.Event) -> None:
    """Wait so long, or until the event is set."""
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    _, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
