"""Several voices with real engines and servers: in order, each once, through restarts and deaths, and beside everything else."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, Placement
from conversations import convene
from conversations.convene import Wish
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.models import Ensemble, Message, Reply
from swwbot_site.lib import clock, leases
from tests import build
from tests.harness import engines, until
from tests.workers import Workers

Studios, Feeds, Start = Callable[..., Studio], Callable[..., Chat], Callable[..., Workers]


def choir(n: int) -> tuple[str, ...]:
    """So many voices with a small model, and one with a large model that draws them together; the ids of the voices."""
    for i in range(n):
        build.entity(slug=f"v{i:02d}", username=f"Voice{i}", model="maker/small", response_chance=0.0)
    build.entity(slug="sum", username="Sum", model="maker/large", response_chance=0.0)
    return tuple(f"v{i:02d}" for i in range(n))


def ask(who: tuple[str, ...], **over: Any) -> Ensemble:
    wish: dict[str, Any] = {"question": "What is time?", "who": who, "synthesizer": "sum", "seconds": 3600.0}
    return Ensemble.objects.get(pk=convene.convene(Wish(**wish | over), clock.now()))


def answered(row: Ensemble, n: int) -> None:
    """Wait until so many steps have ended."""
    until(lambda: row.voices.exclude(state__in=["waiting", "asked"]).count() >= n, what=f"{n} answers")


def done(row: Ensemble) -> None:
    """Wait for the end; then everybody was asked once, in order, saw all before him, and was heard."""
    until(lambda: not Ensemble.objects.filter(pk=row.pk, state="running").exists(), what="the end of the ensemble")
    row.refresh_from_db()
    voices = list(row.voices.select_related("generation", "reply__generation").order_by("ordinal"))
    assert (row.state, row.reason) == ("done", ""), [(voice.state, voice.reason) for voice in voices]
    assert [voice.state for voice in voices] == ["done"] * len(voices)
    assert row.text == voices[-1].text
    asked = [voice.reply.generation if voice.reply else voice.generation for voice in voices]
    assert None not in asked
    assert Generation.objects.count() == len(voices)
    generations = [one for one in asked if one is not None]
    assert [one.pk for one in generations] == sorted(one.pk for one in generations)
    for n, one in enumerate(generations):
        prompt = one.request["messages"][-1]["content"]
        assert [voice.ordinal for voice in voices if f"\nVoice{voice.ordinal}: " in prompt] == list(range(n))


def test_a_dozen_voices_and_a_synthesis_whose_model_the_cluster_loads_while_others_are_answered(studio: Studios, chat: Feeds) -> None:
    studio(models=("maker/small:4", "maker/large:20"), loaded=("maker/small",), first_token_s=0.4)
    feed = chat("do")
    row = ask(choir(12))
    build.entity(slug="other", username="Other", model="maker/small", response_chance=0.0)
    with engines(1):
        answered(row, 1)
        for n in range(6):
            body = {"id": f"human-{n}", "text": f"Other, what of {n}?", "username": f"H{n}", "domain": "saywhatwant.app"}
            assert httpx.post(f"{feed.url}/comments", json=body, timeout=10, trust_env=False, verify=False).status_code == 200
        until(lambda: Reply.objects.filter(state="posted").count() == 6, what="6 answers beside it")
        until(lambda: not Ensemble.objects.filter(pk=row.pk, state="running").exists(), what="the end of the ensemble")
    row.refresh_from_db()
    assert row.state == "done"
    beside = Generation.objects.filter(voice=None).order_by("ended_at").first()
    last = row.voices.get(ordinal=11)
    assert beside is not None
    assert beside.ended_at < last.asked_at, "ordinary answers wait for the ensemble"
    assert row.voices.get(synthesis=True).generation.model.key == "maker/large"
    assert Placement.objects.filter(model__key="maker/large", state="loaded").count() == 1
    assert Generation.objects.exclude(voice=None).count() == 13


def test_two_engines_that_are_restarted_in_the_middle_ask_everybody_once(studio: Studios) -> None:
    emulator = studio(models=("maker/small:4", "maker/large:20"), first_token_s=0.3)
    row = ask(choir(5))
    with engines(2):
        answered(row, 2)
        emulator.set(first_token_s=600.0)  # who is asked from now on waits for the other engines
    emulator.set(first_token_s=0.0)
    assert Ensemble.objects.get().state == "running"
    with engines(2):
        done(row)


def test_posted_voices_appear_in_the_chat_once_and_trigger_nobody_of_ours(studio: Studios, chat: Feeds) -> None:
    studio(models=("maker/small:4", "maker/large:20"))
    feed = chat("kv", quirks=Quirks(race_ms=0.0))
    who = choir(3)
    message = build.message(feed=build.Feed.objects.get(), decided_at=clock.now(), text="What is time?")
    build.entity(slug="gossip", username="Gossip", model="maker/small", response_chance=1.0)
    row = ask(who, message=message.pk, post=True)
    with engines(2):
        done(row)
        until(lambda: Reply.objects.filter(state="posted").count() == 4, what="4 posts")
        until(lambda: Message.objects.filter(own=True, decided_at__isnull=False).count() == 4, what="4 own posts read")
    shown = httpx.get(f"{feed.url}/comments", params={"after": 1, "limit": 1000}, timeout=10, trust_env=False, verify=False).json()
    assert sorted(one["username"] for one in shown) == ["Sum", "Voice0", "Voice1", "Voice2"]
    assert Reply.objects.count() == 4


# --- deaths ------------------------------------------------------------------------------------------------------
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


DEATHS = (("ensemble.before", 0), ("ensemble.inside", 0), ("ensemble.after", 1), ("ensemble.inside", 1))
"""Where a worker dies, and how many steps have been begun by then."""


def test_workers_killed_at_every_step_of_an_ensemble_ask_nobody_twice(studio: Studios, chat: Feeds, workers: Start) -> None:
    until(lambda: leases.living() != leases.EVERYBODY, what="a database that knows who lives")
    studio(models=("maker/small:4", "maker/large:20"))
    feed = chat("do", row={"detected": "do"})
    message = build.message(feed=build.Feed.objects.get(), decided_at=clock.now(), text="What is time?")
    row = ask(choir(2), message=message.pk, post=True)
    cluster = workers()
    for step, begun in DEATHS:
        cluster.pause_at(step)
        os.kill(cluster.paused(), signal.SIGKILL)
        assert row.voices.exclude(state="waiting").count() == begun
    done(row)
    until(lambda: Reply.objects.filter(state="posted").count() == 3, what="3 posts")
    shown = httpx.get(f"{feed.url}/comments", params={"after": 1}, timeout=10, trust_env=False, verify=False).json()["messages"]
    assert sorted(one["username"] for one in shown) == ["Sum", "Voice0", "Voice1"]
    assert Reply.objects.count() == 3
