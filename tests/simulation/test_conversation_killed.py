"""Whoever dies, wherever it is: every message gets exactly one answer. Real clusters of real processes, killed for real."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.models import Message
from tests import build
from tests.harness import until
from tests.workers import Workers

Start = Callable[..., Workers]


@pytest.fixture
def workers(engine_database_url: str, run_folder: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts clusters; whatever is left of them at the end is killed."""
    started: list[Workers] = []

    def start(queue: str = "swwbot-test", **environment: str) -> Workers:
        folder = run_folder / f"workers-{abs(hash(request.node.nodeid)) % 10**8}-{queue}"
        started.append(Workers(engine_database_url, folder, queue, **environment))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def say(feed: Chat, n: int, entity: str) -> None:
    """A human asks a persona."""
    body = {
        "id": f"human-{n}",
        "text": f"What do you think of number {n}?",
        "username": f"Human{n}",
        "domain": "saywhatwant.app",
        "botParams": {"entity": entity, "processed": False},
    }
    assert httpx.post(f"{feed.url}/comments", json=body, timeout=10, trust_env=False).status_code == 200


def shown(feed: Chat) -> list[dict[str, str]]:
    """What the feed shows, the answers."""
    payload = httpx.get(f"{feed.url}/comments", params={"after": 1, "limit": 1000}, timeout=10, trust_env=False).json()
    items = payload if isinstance(payload, list) else payload["messages"]
    assert len({one["id"] for one in items}) == len(items), "an id twice"
    return [one for one in items if one["message-type"] == "AI"]


def answered_once(feed: Chat, n: int) -> None:
    """Wait until everything is answered and settled; then each message has its one answer."""
    until(lambda: len(shown(feed)) >= n, 30, f"{n} answers")
    until(lambda: Message.objects.filter(kind="human", state="settled").count() == n, 30, f"{n} settled")
    assert Counter(one["replyTo"] for one in shown(feed)) == {f"human-{i}": 1 for i in range(n)}


STEPS = (
    "poll.before", "poll.after", "ingest.inside", "ingest.after", "analyse.before", "decide.before", "decide.after", "plan.before",
    "seat.before", "seat.after", "ready.before", "ready.after", "ask.before", "ask.after", "finish.before", "finish.after",
    "clean.before", "clean.after", "post.before", "post.after", "confirm.before", "confirm.after",
)  # fmt: skip
CASES = [*((step, "kv-queue") for step in STEPS), ("poll.after", "do"), ("ingest.inside", "do")]


@pytest.mark.parametrize(("step", "generation"), CASES)
def test_a_worker_killed_at_any_step_loses_and_doubles_nothing(
    step: str, generation: str, studio: Callable[..., Studio], chat: Callable[..., Chat], workers: Start
) -> None:
    studio(models=("maker/small:4", "maker/medium:8"))
    feed = chat(generation, quirks=Quirks(race_ms=0.0))
    build.entity(slug="one", username="One", model="maker/small", response_chance=0.0)
    build.entity(slug="two", username="Two", model="maker/medium", response_chance=0.0)
    for n in range(4):
        say(feed, n, ("one", "two")[n % 2])
    cluster = workers()
    cluster.pause_at(step)
    os.kill(cluster.paused(), signal.SIGKILL)
    answered_once(feed, 4)
    assert cluster.process.poll() is None
    assert cluster.stop() < 10
