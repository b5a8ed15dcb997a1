"""Requests that have to wait: what their clients hear meanwhile, and who comes first."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import httpx
import openai
import pytest

from cluster import queue
from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation, Placement, Seat
from swwbot_site.lib import clock
from tests import build
from tests.doors.gateway.conftest import CHAT, HELLO, MODEL, Gateway, free
from tests.harness import until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, unharmed

Cluster = Callable[..., list[Emulator]]


def quick(emulator: Emulator) -> None:
    """From now on it answers at once."""
    emulator.work.habits = emulator.work.habits.changed({"tokens_per_s": 0.0})


@contextmanager
def crowd(client: openai.OpenAI, n: int, **over: object) -> Iterator[list[str]]:
    """`n` clients that ask one request after the other, until the block ends; what they were answered."""
    over_now, answers = threading.Event(), list[str]()

    def work() -> None:
        while not over_now.is_set():
            said = client.chat.completions.create(**HELLO | over)
            answers.append(said.choices[0].message.content or "")

    with ThreadPoolExecutor(n) as pool:
        working = [pool.submit(work) for _ in range(n)]
        try:
            yield answers
        finally:
            over_now.set()
        for one in working:
            one.result()


def test_a_stream_that_waits_tells_its_place_and_how_far_the_load_is(http: httpx.Client, cluster: Cluster) -> None:
    cluster(load_seconds=2.5)
    with http.stream("POST", CHAT, json=HELLO | {"stream": True}) as said:
        lines = [line for line in said.iter_lines() if line]
    comments = [line for line in lines if line.startswith(":")]
    assert any("place 1 of 1" in line for line in comments), comments
    assert any("maker/small loads on studio-1, about" in line for line in comments), comments
    assert any("x-sww-server: studio-1" in line for line in comments), comments
    assert lines[-1] == "data: [DONE]"
    free()


def test_a_request_of_somebody_else_gets_its_turn_although_many_clients_hold_every_seat(client: openai.OpenAI, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], parallel=2, tokens_per_s=300.0)
    with crowd(client, 12) as answers:
        until(lambda: len(answers) > 12, what="a crowd")
        for _ in range(3):
            ids = ask(MODEL, caller="entity:philosopher")
            before = len(answers)
            done(ids)
            assert len(answers) - before < 60
        since = len(answers)
        until(lambda: len(answers) > since + 12, what="the crowd again")
    free()
    assert not Generation.objects.exclude(state="done").exists()
    assert Generation.objects.filter(caller__startswith="api:").count() == len(answers)
    assert count(emulator, "queued") == 0


def test_another_model_gets_the_memory_although_clients_ask_without_a_pause(client: openai.OpenAI, cluster: Cluster) -> None:
    build.policy(overdue_s=1.0, min_residency_s=0.0, ageing_s=0.01)
    (emulator,) = cluster(models=[SMALL, MEDIUM], loaded=["maker/small"], budget_gb=14.0, tokens_per_s=400.0)
    with crowd(client, 4) as answers:
        until(lambda: len(answers) > 4, what="a crowd")
        done(ask("maker/medium", priority=10))
    free()
    unharmed(emulator)
    assert Placement.objects.filter(model__key="maker/medium").exists()


def test_a_full_queue_is_told_with_the_time_to_come_back_and_is_open_again_afterwards(
    client: openai.OpenAI, cluster: Cluster, gateway: Gateway
) -> None:
    build.policy(max_waiting=2)
    (emulator,) = cluster(loaded=["maker/small"], parallel=1, tokens_per_s=3.0)
    first = client.chat.completions.create(**HELLO | {"max_tokens": 2000}, stream=True)
    next(iter(first))
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(client.chat.completions.create, **HELLO) for _ in range(2)]
        until(lambda: Generation.objects.filter(state="queued").count() == 2, what="two who wait")
        with pytest.raises(openai.RateLimitError) as full:
            client.chat.completions.create(**HELLO)
        assert full.value.code == "queue_full"
        assert 1 <= int(full.value.response.headers["retry-after"]) <= 60
        quick(emulator)
        first.close()
        assert all(one.result().choices[0].message.content for one in others)
    later = clock.now() + timedelta(hours=1)
    for _ in range(2):  # in another process
        build.generation(model=Generation.objects.all()[0].model, home=12345, queued_at=later, not_before=later)

    def refused() -> bool:
        try:
            client.chat.completions.create(**HELLO | {"max_tokens": 1})
        except openai.RateLimitError:
            return True
        return False

    until(refused, what="a full queue")
    Generation.objects.filter(home=12345).delete()
    until(lambda: not refused(), what="an open queue")


def test_priorities_of_tokens_order_the_queue(gateway: Gateway, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], parallel=1, tokens_per_s=3.0)
    late, soon = (build.token("generate", priority=priority)[1] for priority in (90, 5))
    hold = build.token("generate")[1]

    def work(secret: str) -> None:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0) as one:
            assert one.chat.completions.create(**HELLO).choices[0].message.content

    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=hold, max_retries=0) as holder, ThreadPoolExecutor(4) as pool:
        stream = holder.chat.completions.create(**HELLO | {"max_tokens": 2000}, stream=True)
        next(iter(stream))
        done_ones = [pool.submit(work, late)]
        until(lambda: Generation.objects.filter(state="queued").count() == 1, what="one who waits")
        done_ones.append(pool.submit(work, soon))
        until(lambda: sum(flight.row for flight in tuple(gateway.process().relay._seating.waiting)) == 2, what="two who wait")
        quick(emulator)
        stream.close()
        for one in done_ones:
            one.result()
    free()
    until(lambda: Generation.objects.filter(state="done").count() == 2, what="two rows")
    assert list(Generation.objects.filter(state="done").order_by("asked_at").values_list("priority", flat=True)) == [5, 90]


def test_a_request_that_the_operator_calls_off_ends_for_its_client_at_once(client: openai.OpenAI, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], parallel=1, tokens_per_s=3.0)
    stream = client.chat.completions.create(**HELLO | {"max_tokens": 2000}, stream=True)
    next(iter(stream))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.chat.completions.create, **HELLO)
        pk = until(lambda: Generation.objects.filter(state="queued").values_list("pk", flat=True).first(), what="one who waits")
        assert queue.cancel(pk, clock.now(), "Not now.")
        with pytest.raises(openai.InternalServerError) as off:
            waiting.result()
        assert "Not now." in str(off.value)
    pk = until(lambda: Generation.objects.filter(state="running").values_list("pk", flat=True).first(), what="one who is asked")
    assert queue.cancel(pk, clock.now(), "Not this either.")
    with pytest.raises(openai.APIError, match="Not this either"):
        list(stream)
    until(lambda: emulator.work.machine.running == 0, what="an end of the generating")
    free()
    assert set(Generation.objects.values_list("state", flat=True)) == {"cancelled"}
    assert not Seat.objects.exists()
