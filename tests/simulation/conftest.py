"""A whole system for tests: emulated servers and feeds on real sockets, engines on the run's own PostgreSQL."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.values import Generation
from tests import build
from tests.harness import Background


@pytest.fixture
def background() -> Iterator[Background]:
    """The loop that the emulators live on."""
    one = Background()
    yield one
    one.close()


@pytest.fixture
def studio(background: Background, transactional_db: None) -> Iterator[Callable[..., Studio]]:
    """Starts an emulated LM Studio server and makes its row; keywords are the emulator's."""
    started: list[Studio] = []

    def start(name: str = "", *, budget_gb: float = 64.0, row: dict[str, Any] | None = None, **habits: Any) -> Studio:
        emulator = Studio(**({"memory_gb": budget_gb} | habits))
        background.run(emulator.start())
        started.append(emulator)
        values = {"name": name or f"studio-{len(started)}", "url": emulator.url, "budget_gb": budget_gb}
        values |= {"state": "unknown", "detected": "", "seen_at": None, "listed_at": None, "state_since": None}
        build.server(**values | (row or {}))
        return emulator

    yield start
    for emulator in started:
        background.run(emulator.stop())


@pytest.fixture
def chat(background: Background, transactional_db: None) -> Iterator[Callable[..., Chat]]:
    """Starts an emulated feed and makes its row."""
    started: list[Chat] = []

    def start(generation: str = "do", *, row: dict[str, Any] | None = None, **options: Any) -> Chat:
        emulator = Chat(Generation(generation), **options)
        background.run(emulator.start())
        started.append(emulator)
        values = {"url": emulator.url, "detected": "", "poll_interval_s": 0.2, "post_interval_s": 0.02, "max_text": 240}
        build.feed(**values | (row or {}))
        return emulator

    yield start
    for emulator in started:
        background.run(emulator.stop())
