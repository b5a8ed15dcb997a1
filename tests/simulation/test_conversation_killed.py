"""Whoever dies, wherever it is: every message gets exactly one answer. Real clusters of real processes, killed for real."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django_q.models import Schedule, Task

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, Seat, Server
from conversations.approve import approve
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.models import Engine, Message, Reply
from conversations.requeue import requeue
from conversations.stop import resume, stop
from entities.models import Entity
from swwbot_site.lib import leases
from tests import build
from tests.harness import until
from tests.workers import Workers, engines_alive

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
    assert httpx.post(f"{feed.url}/comments", json=body, timeout=10, trust_env=False, verify=False).status_code == 200


def shown(feed: Chat) -> list[dict[str, str]]:
    """What the feed shows, the answers."""
    payload = httpx.get(f"{feed.url}/comments", params={"after": 1, "limit": 1000}, timeout=10, trust_env=False, verify=False).json()
    items = payload if isinstance(payload, list) else payload["messages"]
    assert len({one["id"] for one in items}) == len(items), "an id twice"
    return [one for one in items if one["message-type"] == "AI"]


def answered_once(feed: Chat, n: int) -> None:
    """Wait until everything is answered and confirmed; then each message has its one answer."""
    until(lambda: Reply.objects.filter(state="posted").count() >= n, what=f"{n} answers")
    assert Counter(one["replyTo"] for one in shown(feed)) == {f"human-{i}": 1 for i in range(n)}
    assert Reply.objects.count() == n


def settled(n: int) -> bool:
    """Whether the feed's own queue knows that all are answered."""
    return Message.objects.filter(kind="human", state="settled").count() == n


@pytest.fixture
def scene(studio: Callable[..., Studio], chat: Callable[..., Chat]) -> Callable[..., Chat]:
    """A server, two personas, and a feed; keywords are the server's habits."""

    def begin(generation: str = "kv-queue", **habits: Any) -> Chat:
        until(lambda: leases.living() != leases.EVERYBODY, what="a database that knows who lives")
        studio(models=("maker/small:4", "maker/medium:8"), **habits)
        feed = chat(generation, quirks=Quirks(race_ms=0.0), row={"lost_after_s": 2.0})
        build.entity(slug="one", username="One", model="maker/small", response_chance=0.0)
        build.entity(slug="two", username="Two", model="maker/medium", response_chance=0.0)
        return feed

    return begin


def ask(feed: Chat, first: int, last: int) -> None:
    """Messages to both, in turn."""
    for n in range(first, last):
        say(feed, n, ("one", "two")[n % 2])


LOADING = ("plan.before", "seat.before", "seat.after", "ready.before", "ready.after")
"""Steps that are different, or there at all, while no model is loaded: each in a cluster of its own."""

COURSES = (
    ("kv-queue", ("poll.before", "poll.after", "ingest.inside", "ingest.after", "analyse.before", "decide.before", "decide.after")),
    ("kv-queue", ("plan.before", "seat.before", "seat.after", "ask.before", "ask.after", "finish.before", "finish.after")),
    ("kv-queue", ("clean.before", "clean.after", "post.before", "post.cleared", "post.after", "confirm.before", "confirm.after")),
    ("do", ("poll.after", "ingest.inside")),
)


@pytest.mark.parametrize(("generation", "steps"), [*(("kv-queue", (step,)) for step in LOADING), *COURSES])
def test_a_worker_killed_at_any_step_loses_and_doubles_nothing(
    generation: str, steps: tuple[str, ...], scene: Callable[..., Chat], workers: Start
) -> None:
    feed = scene(generation)
    cluster = None
    for number, step in enumerate(steps):
        ask(feed, 4 * number, 4 * number + 4)
        cluster = cluster or workers()
        cluster.pause_at(step)
        os.kill(cluster.paused(), signal.SIGKILL)
        answered_once(feed, 4 * number + 4)
        assert cluster.process.poll() is None
    assert cluster is not None
    assert cluster.stop() < 10


def test_a_worker_killed_while_it_asks_a_second_time_asks_once_more_and_posts_once(scene: Callable[..., Chat], workers: Start) -> None:
    feed = scene("kv-queue", answer="thought", answer_times=4, tokens_per_s=1.0)
    ask(feed, 0, 4)
    cluster = workers()
    cluster.pause_at("again.inside")
    until(lambda: Generation.objects.filter(state="running").count() == 4, what="4 first tries: only they end in thoughts")
    httpx.post(
        f"{Server.objects.get().url}/emulator/habits", json={"tokens_per_s": 0.0}, timeout=10, trust_env=False, verify=False
    ).raise_for_status()
    os.kill(cluster.paused(), signal.SIGKILL)
    answered_once(feed, 4)
    drafts = [len(reply.drafts) for reply in Reply.objects.all()]
    assert max(drafts) == 1  # what the dead worker had asked for may be asked for anew: not all four need a second try then
    assert Generation.objects.count() == 4 + sum(drafts)
    assert cluster.stop() < 10


def test_what_people_hold_stop_approve_and_want_again_survives_every_death(scene: Callable[..., Chat], workers: Start) -> None:
    feed = scene("kv-queue")
    Entity.objects.update(hold=True)
    ask(feed, 0, 4)
    cluster = workers()
    until(lambda: Reply.objects.filter(state="held").count() == 4, what="4 answers on hold")
    assert shown(feed) == []
    first, *others = Reply.objects.order_by("id").values_list("pk", flat=True)

    cluster.pause_at("post.cleared")
    approve([first], "ann")
    doomed = cluster.paused()
    assert stop("ann")
    approve(others, "ann")
    os.kill(doomed, signal.SIGKILL)
    seen = Message.objects.count()
    say(feed, 99, "nobody")
    until(lambda: Message.objects.count() > seen, what="a new engine that reads")
    assert shown(feed) == []
    assert feed.counts["POST /api/comments 200"] == 5, "the five of humans"

    cluster.pause_at("post.after")
    resume("ann")
    os.kill(cluster.paused(), signal.SIGKILL)
    until(lambda: Reply.objects.filter(state="posted").count() == 4, what="4 posts")

    Reply.objects.filter(pk=first).update(state="failed", accepted_at=None)  # as if nobody knew that it had arrived
    cluster.pause_at("post.before")
    requeue(first, "ann")
    os.kill(cluster.paused(), signal.SIGKILL)
    until(lambda: Reply.objects.filter(state="posted").count() == 4, what="what was wanted again")
    assert Counter(one["replyTo"] for one in shown(feed)) == {f"human-{i}": 1 for i in range(4)}
    assert cluster.stop() < 10


def test_a_whole_cluster_killed_in_the_middle_is_followed_by_a_new_one_that_answers_the_rest(
    scene: Callable[..., Chat], workers: Start
) -> None:
    feed = scene("do")
    ask(feed, 0, 6)
    first = workers()
    first.pause_at("post.after")
    first.paused()
    first.kill()
    second = workers()
    answered_once(feed, 6)
    until(lambda: settled(6), what="6 settled")
    assert second.stop() < 10


def test_a_machine_that_dies_is_replaced_by_another_at_once(scene: Callable[..., Chat], workers: Start) -> None:
    feed = scene("do")
    ask(feed, 0, 4)
    dying = workers("swwbot-dying")
    dying.pause_at("ask.after")
    dying.paused()
    other = workers("swwbot-other")
    until(lambda: engines_alive() == 2, what="two engines")
    ask(feed, 4, 6)
    dying.kill()
    answered_once(feed, 6)
    assert other.stop() < 10


def test_sigterm_ends_a_cluster_within_ten_seconds_and_loses_no_answer_in_flight(scene: Callable[..., Chat], workers: Start) -> None:
    feed = scene("do", first_token_s=3600.0)
    ask(feed, 0, 4)
    first = workers()
    until(lambda: Generation.objects.filter(state="running").count() == 4, what="4 answers in flight")
    assert first.stop() < 10
    assert Generation.objects.filter(state="queued").count() == 4
    assert Seat.objects.count() == 0
    assert engines_alive() == 0
    studio = Server.objects.get()
    httpx.post(f"{studio.url}/emulator/habits", json={"first_token_s": 0.0}, timeout=10, trust_env=False, verify=False).raise_for_status()
    second = workers()
    answered_once(feed, 4)
    assert set(Generation.objects.values_list("attempts", flat=True)) == {1}
    assert second.stop() < 10


def test_a_shift_hands_over_to_the_next_without_waiting_for_the_watchdog(scene: Callable[..., Chat], workers: Start) -> None:
    feed = scene("do")
    cluster = workers(SHIFT_SECONDS="1", WORKERS="2")
    for n in range(4):
        until(lambda seen=n: Engine.objects.count() > seen, what=f"shift {n + 1}")
        ask(feed, n, n + 1)
    answered_once(feed, 4)
    assert set(Engine.objects.filter(ended_at__isnull=False).values_list("end_reason", flat=True)) == {"the shift is over"}
    assert Schedule.objects.count() == 1
    assert cluster.stop() < 10


def test_a_second_engine_is_refused_where_there_may_be_only_one(scene: Callable[..., Chat], workers: Start) -> None:
    scene()
    first = workers("swwbot-one", ENABLE_MULTI_INSTANCE="false")
    until(lambda: engines_alive() == 1, what="an engine")
    second = workers("swwbot-two", ENABLE_MULTI_INSTANCE="false")
    refusal = until(lambda: Task.objects.filter(cluster="swwbot-two").first(), what="the end of the second shift").result
    assert "ENABLE_MULTI_INSTANCE is off" in refusal
    assert Engine.objects.count() == 1
    assert first.stop() < 10
    assert second.stop() < 10
