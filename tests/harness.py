"""Real parts for tests: emulators on real sockets, engines with real threads and connections, all in one process.

Everything asynchronous lives on one background loop, so that tests are plain functions that look at rows.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connections
from django.db.models import Count

from cluster.models import Generation, Placement, Server
from conversations import engine
from conversations.models import Message, Reply
from swwbot_site.models import Event

T = TypeVar("T")

PATIENCE_S = 120.0
"""So long something that must happen may take: a machine with much else to do needs more than one that has nothing."""

engine.STEADY_S = 0.05  # how soon an engine of this process sees that its test is over


class Background:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="background", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = PATIENCE_S) -> T:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


def until(true: Callable[[], T], seconds: float = PATIENCE_S, what: str = "it") -> T:
    """Wait until `true()` is truthy and return that; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = true()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s\n{story()}")


class Running:
    """An engine that runs."""

    def __init__(self, queue: str = "test") -> None:
        self._stop = threading.Event()
        self.why = ""
        self._thread = threading.Thread(target=self._work, args=(queue,), name=f"engine {queue}", daemon=True)
        self._thread.start()

    def _work(self, queue: str) -> None:
        try:
            self.why = asyncio.run(engine.run(queue, lambda: "the test is over" if self._stop.is_set() else "", 600))
        finally:
            connections.close_all()

    def stop(self) -> str:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the engine did not stop"
        return self.why


@contextmanager
def engines(n: int = 1) -> Iterator[list[Running]]:
    """`n` engines beside each other."""
    running = [Running(f"test-{i}") for i in range(n)]
    try:
        yield running
    finally:
        for one in running:
            one.stop()


def story() -> str:
    """How the rows stand and what was said, for a test that failed."""
    lines = [f"server {s.name}: {s.state} {s.state_reason}" for s in Server.objects.all()]
    lines += [f"placement {p}: {p.reason}" for p in Placement.objects.all()]
    lines += [
        f"generations {g}"
        for g in Generation.objects.order_by().values_list("state", "model__key", "error", "decision__waits").annotate(n=Count("id"))
    ]
    lines += [f"replies {r}" for r in Reply.objects.order_by().values_list("state", "reason").annotate(n=Count("id"))]
    lines += [f"messages {m}" for m in Message.objects.order_by().values_list("state", "verdict__why").annotate(n=Count("id"))]
    lines += [f"event {e.at:%H:%M:%S.%f} {e.kind}: {e.text[:150]}" for e in reversed(Event.objects.order_by("-id")[:40])]
    return "\n".join(lines)
