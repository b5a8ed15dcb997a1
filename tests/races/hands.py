"""Many workers at one moment, each with a connection of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def at_once(n: int, work: Callable[[int], T]) -> list[T]:
    """What `work(0)` … `work(n - 1)` return when they begin together. Raises what one of them raised."""
    barrier = threading.Barrier(n)

    def one(worker: int) -> T:
        try:
            connection.ensure_connection()
            barrier.wait(60)
            return work(worker)
        finally:
            connection.close()

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))
