"""A client, and emulated servers that stop by themselves."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from cluster.lmstudio.client import Client
from cluster.lmstudio.emulator import Emulator
from cluster.lmstudio.values import Endpoint
from swwbot_site.lib import http

Serve = Callable[..., Awaitable[tuple[Emulator, Endpoint]]]

RIVALS = {"llamacpp": "llamacpp", "llamacpp-router": "llamacpp-router", "ollama": "ollama", "vllm": "vllm"}
CLOUDS = {"cloud": "openai", "llama-cpp-python": "openai"}
DIALECTS = {"0.3.16": "lmstudio-v0", "0.4.0": "lmstudio-v1", "0.4.25": "lmstudio-v1", "design": "design", "openai": "openai"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """The client under test, on the transport of production."""
    async with http.client() as pool:
        yield Client(pool)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts emulators: `await serve("0.4.25", habit=value)` gives one and its endpoint, whose dialect is known."""
    running: list[Emulator] = []

    async def start(profile: str = "0.4.25", **options: object) -> tuple[Emulator, Endpoint]:
        token = str(options.pop("token", ""))
        emulator = Emulator(profile=profile, **options)
        running.append(emulator)
        await emulator.start()
        return emulator, Endpoint(url=emulator.url, dialect=(DIALECTS | RIVALS | CLOUDS)[profile], token=token)

    yield start
    for emulator in running:
        await emulator.stop()
