"""Rows in threads: how an asyncio program runs plain functions that touch the database."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, Final, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")
log = structlog.get_logger(__name__)

THREADS: Final = 6
"""Threads, and so database connections, of one engine."""

RETRY_S: Final = 1.0


class Threads:
    """Runs functions that touch rows. A database that goes away is waited for, and the step is done again: every step is one
    transaction of guarded moves, so doing it twice does it once."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="rows")
        self._stopping = stopping

    async def __call__(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        loop = asyncio.get_running_loop()
        told = False
        while True:
            try:
                return await loop.run_in_executor(self._pool, lambda: _fresh(function, *args, **kwargs))
            except (OperationalError, InterfaceError) as exc:
                if self._stopping.is_set():
                    raise
                if not told:
                    log.warning("database.away", error=str(exc), step=getattr(function, "__qualname__", str(function)))
                    told = True
                await asyncio.sleep(RETRY_S)

    def close(self) -> None:
        """End the threads and their connections."""
        together = Barrier(THREADS)  # each waits for the others, so that every thread gets one and closes its own
        for _ in range(THREADS):
            self._pool.submit(_hang_up, together)
        self._pool.shutdown(wait=True)


def _fresh(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    try:
        return function(*args, **kwargs)
    except (OperationalError, InterfaceError):
        connection.close()
        raise


def _hang_up(together: Barrier) -> None:
    connection.close()
    together.wait(timeout=5)
