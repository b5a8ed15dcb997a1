"""What tests of doors share: people who are logged in, and the events that were said."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from cluster.lmstudio.emulator import Emulator as LMStudio
from conversations.feed.emulator import Emulator as Backend
from conversations.feed.values import Generation
from conversations.models import Engine
from swwbot_site.lib import events, leases
from swwbot_site.lib.events import Happening
from tests import build

T = TypeVar("T")
E = TypeVar("E", LMStudio, Backend)


@pytest.fixture
def staff(db: None) -> User:
    """An administrator."""
    return User.objects.create_superuser("admin", password="correct horse")


@pytest.fixture
def browser(staff: User) -> Client:
    """The administrator's browser, logged in."""
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def heard() -> Iterator[list[Happening]]:
    """Everything that is said while the test runs."""
    said: list[Happening] = []
    listener = events.listen(said.append)
    yield said
    events._listeners.remove(listener)


class Aside:
    """An event loop in a thread of its own, for peers that must answer while the test waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._running: list[LMStudio | Backend] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def lmstudio(self, models: Sequence[str] = ("google/gemma-3-27b:17:mlx",), **options: Any) -> LMStudio:
        """An emulated server that listens."""
        return self._start(lambda: LMStudio(models, **options))

    def feed(self, generation: Generation = Generation.DO) -> Backend:
        """An emulated message backend that listens."""
        return self._start(lambda: Backend(generation))

    def _start(self, make: Callable[[], E]) -> E:
        async def begin() -> E:
            peer = make()
            await peer.start()
            self._running.append(peer)
            return peer

        return self.run(begin())

    def close(self) -> None:
        for peer in self._running:
            self.run(peer.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


@pytest.fixture
def aside() -> Iterator[Aside]:
    """Emulated peers beside the test."""
    made = Aside()
    yield made
    made.close()


@pytest.fixture
def living_engine(db: None) -> Iterator[Engine]:
    """An engine whose lock is held, so that it lives."""
    row = build.engine()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [leases.SPACE, row.owner])
    yield row
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [leases.SPACE, row.owner])
