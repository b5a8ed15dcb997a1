"""What goes wrong behind the gateway, and what its clients hear of it."""

from collections.abc import Callable

import httpx
import openai
import pytest

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation, Server
from tests import build
from tests.doors.gateway.conftest import HELLO, Gateway, free, row
from tests.harness import Background, until
from tests.simulation.cluster import count

Cluster = Callable[..., list[Emulator]]


def habit(emulator: Emulator, **values: object) -> None:
    emulator.work.habits = emulator.work.habits.changed(values)


def test_a_failure_before_the_first_token_is_not_seen_by_the_client(client: openai.OpenAI, cluster: Cluster) -> None:
    build.policy(first_token_timeout_s=2.0)
    one, two = cluster(2, loaded=["maker/small"])
    faults = ("html500", "unavailable", "wrong-model", "hang")
    for number, fault in enumerate(faults, 1):
        stream = number % 2 == 0
        habit(one, fault=fault, fault_times=1)
        habit(two, fault=fault, fault_times=1)
        with client.chat.completions.with_streaming_response.create(**HELLO, stream=stream) as said:
            assert said.status_code == 200, fault
            text = "".join(said.iter_text())
        assert '"error"' not in text
        assert text.rstrip().endswith("[DONE]") or not stream
        until(lambda n=number: Generation.objects.filter(state="done").count() == n, what="the row")  # type: ignore[misc]
    assert Generation.objects.count() == len(faults)
    assert Generation.objects.filter(attempts__gt=1).count() >= len(faults) - 1
    free()


def test_whoever_asks_wrongly_takes_the_seats_of_nobody_else(client: openai.OpenAI, cluster: Cluster, gateway: Gateway) -> None:
    cluster(loaded=["maker/small"], tokens_per_s=4.0)
    assert client.chat.completions.create(**HELLO | {"max_tokens": 1})
    with client.chat.completions.create(**HELLO | {"max_tokens": 2000}, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**HELLO | {"messages": [{"role": "user", "content": "x" * 100_000}]})
        lines = gateway.process().relay._seating._lines.values()
        assert [seats.lost for line in lines for seats in line.seats.values()] == [False]
    free()


@pytest.mark.parametrize("fault", ["cut", "silent-cut", "reset"])
def test_a_failure_after_the_first_token_ends_the_stream_with_an_error_and_is_never_asked_again(
    fault: str, client: openai.OpenAI, cluster: Cluster
) -> None:
    one, two = cluster(2, loaded=["maker/small"])
    habit(one, fault=fault)
    habit(two, fault=fault)
    stream = iter(client.chat.completions.create(**HELLO, stream=True))
    assert next(stream).choices[0].delta.content is not None
    with pytest.raises(openai.APIError) as failed:
        list(stream)
    assert failed.value.body
    kept = until(lambda: Generation.objects.filter(state="failed").first(), what="the row")
    assert (kept.attempts, len(kept.tried)) == (1, 1)
    assert count(one, "fault") + count(two, "fault") == 1
    free()


def test_what_fails_everywhere_is_told_with_the_last_reason_and_not_tried_by_the_client_again(
    http: httpx.Client, client: openai.OpenAI, cluster: Cluster
) -> None:
    build.policy(max_attempts=2)
    (emulator,) = cluster(loaded=["maker/small"])
    habit(emulator, fault="html500")
    with pytest.raises(openai.APIStatusError) as failed:
        client.with_options(max_retries=2).chat.completions.create(**HELLO)
    assert failed.value.status_code in (502, 503, 504)
    assert failed.value.response.headers["x-should-retry"] == "false"
    assert row(failed.value.response.headers, "failed").error
    assert Generation.objects.count() == 1
    free()


def test_a_server_that_dies_under_its_streams_fails_them_and_the_others_go_elsewhere(
    client: openai.OpenAI, cluster: Cluster, background: Background
) -> None:
    emulators = cluster(2, loaded=["maker/small"], tokens_per_s=4.0, parallel=2)
    streams = [client.chat.completions.create(**HELLO, stream=True) for _ in range(3)]
    for stream in streams:
        next(iter(stream))
    alive = [one.work.machine.running for one in emulators]
    dying = alive.index(max(alive))
    background.run(emulators[dying].stop())
    habit(emulators[1 - dying], tokens_per_s=0.0)
    outcomes = []
    for stream in streams:
        try:
            outcomes.append("answered" if list(stream) else "empty")
        except openai.APIError:
            outcomes.append("failed")
    assert sorted(outcomes) == ["answered"] * (3 - alive[dying]) + ["failed"] * alive[dying]
    assert client.chat.completions.create(**HELLO).choices[0].message.content
    until(lambda: not Generation.objects.filter(state="running").exists(), what="an end of all")
    assert Generation.objects.filter(state="failed").count() == alive[dying]
    free()


def test_a_server_that_is_drained_disabled_or_removed_gets_nothing_new_and_finishes_what_it_does(
    client: openai.OpenAI, cluster: Cluster
) -> None:
    emulators = cluster(2, loaded=["maker/small"])
    assert client.chat.completions.create(**HELLO)
    for emulator, change in zip(emulators, ("draining", "enabled"), strict=True):
        rows = Server.objects.filter(url=emulator.url)
        rows.update(**{change: change == "draining"})
        before = count(emulator, "answered")
        free()
        for _ in range(3):
            assert client.chat.completions.create(**HELLO)
        assert count(emulator, "answered") == before
        rows.update(draining=False, enabled=True)
    Server.objects.filter(url=emulators[0].url).delete()
    assert client.chat.completions.create(**HELLO).choices[0].message.content
