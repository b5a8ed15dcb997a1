"""What goes wrong behind the gateway, and what its clients hear of it."""

from collections.abc import Callable

import httpx
import openai
import pytest

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation, Server
from tests.doors.gateway.conftest import CHAT, HELLO, free, row
from tests.harness import Background, until
from tests.simulation.cluster import count

Cluster = Callable[..., list[Emulator]]


def habit(emulator: Emulator, **values: object) -> None:
    emulator.work.habits = emulator.work.habits.changed(values)


@pytest.mark.parametrize("fault", ["html500", "unavailable", "drop", "wrong-model", "crash", "hang"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_first_token_is_not_seen_by_the_client(
    fault: str, stream: bool, client: openai.OpenAI, cluster: Cluster
) -> None:
    one, two = cluster(2, loaded=["maker/small"], row={"first_token_timeout_s": 1.0} if fault == "hang" else {})
    habit(one, fault=fault, fault_times=2)
    habit(two, fault=fault, fault_times=2) if fault == "drop" else None
    with client.chat.completions.with_streaming_response.create(**HELLO, stream=stream) as said:
        assert said.status_code == 200
        text = "".join(said.iter_text())
    assert "error" not in text
    assert text.rstrip().endswith("[DONE]") or not stream
    until(lambda: Generation.objects.filter(state="done").count() == 1, 10, "the row")
    assert Generation.objects.count() == 1
    assert count(one, "answered") + count(two, "answered") == 1
    free()


@pytest.mark.parametrize("fault", ["cut", "silent-cut", "failed", "reset"])
def test_a_failure_after_the_first_token_ends_the_stream_with_an_error_and_is_never_asked_again(
    fault: str, client: openai.OpenAI, cluster: Cluster
) -> None:
    one, two = cluster(2, loaded=["maker/small"])
    habit(one, fault=fault)
    habit(two, fault=fault)
    pieces = []
    with pytest.raises(openai.APIError) as failed:
        for piece in client.chat.completions.create(**HELLO, stream=True):
            pieces.append(piece)
    assert any(piece.choices[0].delta.content for piece in pieces)
    assert failed.value.body
    kept = until(lambda: Generation.objects.filter(state="failed").first(), 10, "the row")
    assert (kept.attempts, len(kept.tried)) == (1, 1)
    assert count(one, "fault") + count(two, "fault") == 1
    free()


def test_what_fails_everywhere_is_told_with_the_last_reason_and_not_tried_by_the_client_again(
    http: httpx.Client, client: openai.OpenAI, cluster: Cluster
) -> None:
    (emulator,) = cluster(loaded=["maker/small"])
    habit(emulator, fault="wrong-model")
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
    one, two = cluster(2, loaded=["maker/small"], tokens_per_s=30.0, parallel=2)
    streams = [client.chat.completions.create(**HELLO | {"max_tokens": 200}, stream=True) for _ in range(2)]
    for stream in streams:
        next(iter(stream))
    names = set(Generation.objects.values_list("server__name", flat=True)) or {"studio-1"}
    for emulator, name in ((one, "studio-1"), (two, "studio-2")):
        if name in names:
            background.run(emulator.stop())
    for emulator in (one, two):
        habit(emulator, tokens_per_s=0.0)
    for stream in streams:
        with pytest.raises(openai.APIError):
            list(stream)
    if len(names) == 1:
        assert client.chat.completions.create(**HELLO).choices[0].message.content
    until(lambda: not Generation.objects.filter(state="running").exists(), 10, "an end of all")
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
