"""The gateway on a real socket, in front of emulated servers and a real engine."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from django.db import connections

from cluster.lmstudio.emulator import Emulator
from swwbot_site.gateway import app, process
from tests import build
from tests.harness import engines
from tests.simulation.cluster import SMALL, online

CHAT = "/v1/chat/completions"
MODEL = "maker/small"
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "Say something about penguins."}], "max_tokens": 20}


class Gateway:
    """A web server with nothing but the gateway, on a loop of its own."""

    def __init__(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app.application, lifespan="off", log_level="warning", timeout_graceful_shutdown=5))
        self.thread = threading.Thread(target=self._run, args=(listening,), daemon=True)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread.start()

    def _run(self, listening: socket.socket) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            runner.run(self._serve(listening))
        connections.close_all()

    async def _serve(self, listening: socket.socket) -> None:
        await self.server.serve([listening])
        await process.end()

    def process(self) -> process.Process:
        assert self.loop is not None
        return process.of(self.loop)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive(), "the gateway did not stop"


@pytest.fixture
def gateway(transactional_db: None) -> Iterator[Gateway]:
    """The gateway; it has no servers yet."""
    one = Gateway()
    yield one
    one.close()


@pytest.fixture
def secret(transactional_db: None) -> str:
    """A token that may ask as often as it likes."""
    return build.token("generate", per_minute=1_000_000)[1]


@pytest.fixture
def http(gateway: Gateway, secret: str) -> Iterator[httpx.Client]:
    """A client with that token."""
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {secret}"}, timeout=30) as client:
        yield client


@pytest.fixture
def cluster(studio: Callable[..., Emulator]) -> Iterator[Callable[..., list[Emulator]]]:
    """Starts so many emulated servers, and an engine."""
    running: list[Any] = []

    def start(n: int = 1, **habits: Any) -> list[Emulator]:
        found = [studio(**{"models": [SMALL]} | habits) for _ in range(n)]
        one = engines()
        one.__enter__()
        running.append(one)
        online(n)
        return found

    yield start
    for one in running:
        one.__exit__(None, None, None)
