"""Answers that go on for minutes: server-sent events, read from rows at short intervals.

However many there are, one thread and one connection look for all of them. Each ends by itself after LASTS_S, when its visitor has lost the
right to it, and when the process is told to stop, which would otherwise wait for it.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from django.db import Error, connection

T = TypeVar("T")
Look = Callable[[], tuple[bytes, bool]]
"""What is new, as server-sent events, and whether that was the last of it. Runs in a thread of its own."""

MOST: Final = 100
"""Streams of one process at once."""

LOOK_S: Final = 0.5
LASTS_S: Final = 600.0
BEAT_S: Final = 10.0
"""A stream that has nothing to say says so, so that a client that went away is noticed; and its visitor's right is looked at again."""


class _Hall:
    """Those who listen in this process, and the thread that looks for them."""

    def __init__(self) -> None:
        self.listeners = 0
        self.closing = threading.Event()
        self._rows: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def enter(self) -> ThreadPoolExecutor:
        """One more listens; the first has the thread begun."""
        with self._lock:
            self.listeners += 1
            self._rows = self._rows or ThreadPoolExecutor(1, thread_name_prefix="stream")
            return self._rows

    def leave(self) -> None:
        """One less; the last has the connection closed."""
        with self._lock:
            self.listeners -= 1
            if not self.listeners and self._rows is not None:
                self._rows.submit(connection.close)
                self._rows.shutdown(wait=False)
                self._rows = None


_hall: Final = _Hall()


def close() -> None:
    """End every stream of this process, now and for ever."""
    _hall.closing.set()


def full() -> bool:
    """Whether nobody else finds a place."""
    return _hall.listeners >= MOST


async def told(look: Look, still: Callable[[], bool]) -> AsyncIterator[bytes]:
    """What `look` finds, as long as `still` says that the visitor may listen."""
    loop, rows = asyncio.get_running_loop(), _hall.enter()
    try:
        begun = beat = time.monotonic()
        while not _hall.closing.is_set() and time.monotonic() < begun + LASTS_S:
            try:
                news, last = await loop.run_in_executor(rows, _fresh, look)
                if time.monotonic() > beat + BEAT_S:
                    beat = time.monotonic()
                    if not await loop.run_in_executor(rows, _fresh, still):
                        return
                    news = news or b": nothing new\n\n"
            except Error:
                news, last = b": the database does not answer\n\n", False
            if news:
                yield news
            if last:
                return
            await asyncio.sleep(LOOK_S)
    finally:
        _hall.leave()


def _fresh(function: Callable[[], T]) -> T:
    """Call what reads rows; a connection that failed is not used again."""
    try:
        return function()
    except Error:
        connection.close()
        raise


def event(name: str, text: str, *, key: object = None) -> bytes:
    """One server-sent event; `text` is JSON, which has no line breaks, `key` is what a client that comes again has seen last."""
    head = "" if key is None else f"id: {key}\n"
    return f"{head}event: {name}\ndata: {text}\n\n".encode()
