"""A client over real HTTP, and backends to talk to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from conversations.feed.client import Client
from conversations.feed.emulator import Emulator, Quirks
from conversations.feed.values import Endpoint, Generation, Outgoing
from swwbot_site.lib import http

EPOCH = 1_790_000_000_000
"""The time of the first message of a test, ms since 1970."""

Emulate = Callable[..., Awaitable[tuple[Emulator, Endpoint]]]


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with http.client() as made:
        yield made


@pytest.fixture
def client(web: httpx.AsyncClient) -> Client:
    return Client(web, total_s=30)


@pytest.fixture
async def emulate() -> AsyncIterator[Emulate]:
    """Start a backend: no races and no rate limit unless asked for. Gives it and its endpoint."""
    running: list[Emulator] = []

    async def start(generation: Generation, *, quirks: dict[str, Any] | None = None, **options: Any) -> tuple[Emulator, Endpoint]:
        calm: dict[str, Any] = {"race_ms": 0.0, "rate_limit": False}
        emulator = Emulator(generation, quirks=Quirks(**calm | (quirks or {})), **options)
        running.append(emulator)
        await emulator.start()
        return emulator, Endpoint(url=emulator.url, generation=generation)

    yield start
    for emulator in running:
        await emulator.stop()


class Peer:
    """A backend spoken to plainly."""

    def __init__(self, web: httpx.AsyncClient, emulator: Emulator) -> None:
        self.emulator = emulator
        self._web = web

    async def __call__(self, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        root = self.emulator.url.removesuffix("/api")
        return await self._web.request(method, root + path, json=body, **options)

    async def say(self, *texts: str, **more: Any) -> None:
        for number, text in enumerate(texts):
            await self("POST", "/api/comments", {"text": text, "timestamp": EPOCH + number, "id": f"{EPOCH + number}-x", **more})


@pytest.fixture
def meet(web: httpx.AsyncClient, emulate: Emulate) -> Callable[..., Awaitable[Peer]]:
    """Start a backend that is spoken to without our client."""

    async def start(generation: Generation, **options: Any) -> Peer:
        return Peer(web, (await emulate(generation, **options))[0])

    return start


def outgoing(number: int = 0, **changed: Any) -> Outgoing:
    """A message to post, one millisecond after the one before."""
    made: dict[str, Any] = {
        "id": f"{EPOCH + number}-{number:09d}",
        "timestamp": EPOCH + number,
        "text": f"text {number}",
        "username": "TheEternal",
        "color": "128000255",
    }
    return Outgoing(**made | changed)


def human(number: int = 0, **changed: Any) -> Outgoing:
    """A message of a person, directed at an entity."""
    params = {"entity": "philosopher", "priority": 50}
    return outgoing(number, **{"kind": "human", "username": "Marisol", "bot_params": params} | changed)
