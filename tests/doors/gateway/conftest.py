"""The gateway on a real socket, in front of emulated servers and a real engine."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from django.db import connections

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation, Seat, Server
from swwbot_site.gateway import app, process
from swwbot_site.protocol import Protocol
from tests import build
from tests.harness import PATIENCE_S, engines, until
from tests.simulation.cluster import SMALL, online

CHAT = "/v1/chat/completions"
MODEL = "maker/small"
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "Say something about penguins."}], "max_tokens": 20}


class Gateway:
    """A web server with nothing but the gateway, on a loop of its own."""

    def __init__(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(app.application, lifespan="off", log_level="warning", timeout_graceful_shutdown=5, http=Protocol)
        self.server = uvicorn.Server(config)
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

    def call(self, function: Callable[[], object]) -> None:
        """Have the gateway's loop do something."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(function)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
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
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {secret}"}, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture
def client(gateway: Gateway, secret: str) -> Iterator[openai.OpenAI]:
    """OpenAI's own client with that token; it tries nothing twice."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0, timeout=PATIENCE_S) as one:
        yield one


@pytest.fixture
def cluster(studio: Callable[..., Emulator]) -> Iterator[Callable[..., list[Emulator]]]:
    """Starts so many emulated servers, and an engine."""
    running: list[Any] = []

    def start(n: int = 1, **habits: Any) -> list[Emulator]:
        found = [studio(**{"models": [SMALL]} | habits) for _ in range(n)]
        if not running:
            one = engines()
            one.__enter__()
            running.append(one)
        online(Server.objects.count())
        return found

    yield start
    for one in running:
        one.__exit__(None, None, None)


def free() -> None:
    """Wait until no seat is taken or held."""
    until(lambda: not Seat.objects.exists(), what="an end of the holding")


def row(headers: Any, state: str = "done") -> Generation:
    """Wait until the request that an answer's headers name is written down as ended."""
    number = int(headers["x-sww-generation"])
    return until(lambda: Generation.objects.filter(pk=number, state=state).select_related("server").first(), what=f"{number} is {state}")
