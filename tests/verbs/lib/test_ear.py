"""Hearing what is said in the database: at once, of everybody, and again after the connection was lost."""

import asyncio
import gc
import selectors
import sys
from collections.abc import Coroutine
from typing import Any

import psycopg
import pytest

from swwbot_site.lib.ear import _parameters, hear
from swwbot_site.lib.leases import SPACE
from swwbot_site.lib.wake import Channel

OWNER = 4711
SOON_S = 60.0

pytestmark = pytest.mark.django_db(transaction=True)


class Counting(selectors.DefaultSelector):
    """Counts how often the loop wakes."""

    woken = 0

    def select(self, timeout: float | None = None) -> Any:
        self.woken += 1
        return super().select(timeout)


class Ear:
    """An ear that notes what it hears."""

    def __init__(self, owner: int | None = OWNER) -> None:
        self.registered = asyncio.Event()
        self.heard: asyncio.Queue[Channel | None] = asyncio.Queue()
        self.deaf = asyncio.Event()
        self.task = asyncio.create_task(hear(owner, self.registered, self.heard.put_nowait, self.deaf.set))

    async def next(self) -> Channel | None:
        return await asyncio.wait_for(self.heard.get(), SOON_S)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def said(*statements: str) -> None:
    async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as other:
        for statement in statements:
            await other.execute(statement)


def run(work: Coroutine[Any, Any, None], selector: selectors.BaseSelector | None = None) -> None:
    """Run on a loop of its own; with the selector that is given."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(work)


def test_everything_that_is_said_is_heard_in_its_order() -> None:
    async def work() -> None:
        ear = Ear()
        assert await ear.next() is None, "anything may have been missed before"
        await said("BEGIN", "NOTIFY sww_plan", "NOTIFY sww_serve", "COMMIT")
        assert [await ear.next(), await ear.next()] == [Channel.PLAN, Channel.SERVE]
        await said("NOTIFY sww_listen")
        assert await ear.next() is Channel.LISTEN
        await ear.end()

    run(work())


def test_who_lost_the_connection_is_told_and_hears_again() -> None:
    async def work() -> None:
        ear = Ear()
        assert await ear.next() is None
        await said(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = {SPACE} AND objid = {OWNER}")
        await asyncio.wait_for(ear.deaf.wait(), SOON_S)
        assert await ear.next() is None
        assert ear.registered.is_set()
        await said("NOTIFY sww_deliver")
        assert await ear.next() is Channel.DELIVER
        await ear.end()

    run(work())


def test_an_ear_to_which_nothing_is_said_does_not_wake_its_process() -> None:
    selector = Counting()

    async def work() -> None:
        ear = Ear(owner=None)
        assert await ear.next() is None
        before = selector.woken
        await asyncio.sleep(0.6)
        assert selector.woken - before <= 3, "the end of this pause, and what followed the start"
        await ear.end()

    run(work(), selector)


def test_whenever_it_is_told_to_end_it_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)

    async def work(steps: int) -> None:
        ear = Ear(owner=None)
        for _ in range(steps):
            await asyncio.wait([ear.task], timeout=0.0005)
        ear.task.cancel()  # and once more when its loop ends

    for steps in range(60):
        run(work(steps))
    gc.collect()
    assert left == []
