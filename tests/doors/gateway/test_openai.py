"""The `openai` package, unchanged, as a client of the gateway."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation, Seat
from tests.doors.gateway.conftest import HELLO, MODEL, free, row
from tests.harness import until
from tests.simulation.cluster import MEDIUM, SMALL, count, unharmed

Cluster = Callable[..., list[Emulator]]
EMBED = "text-embedding-tiny:0.1"
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}


def test_everything_that_the_client_can_ask_is_answered_in_its_own_shapes(client: openai.OpenAI, cluster: Cluster) -> None:
    (emulator,) = cluster(models=[SMALL, EMBED], loaded=["maker/small", "text-embedding-tiny"])
    assert {one.id for one in client.models.list()} == {MODEL, "text-embedding-tiny"}
    assert client.models.retrieve(MODEL).id == MODEL

    raw = client.chat.completions.with_raw_response.create(**HELLO)
    whole = raw.parse()
    assert whole.model == MODEL
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens > 0
    kept = row(raw.headers)
    assert (kept.text, kept.completion_tokens) == (whole.choices[0].message.content, whole.usage.completion_tokens)
    assert kept.request["endpoint"] == "/v1/chat/completions"
    for name in ("x-sww-server", "x-sww-wait-ms", "x-sww-overhead-ms"):
        assert raw.headers[name]
    assert kept.server is not None
    assert raw.headers["x-sww-server"] == kept.server.name

    pieces = list(client.chat.completions.create(**HELLO, stream=True))
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert pieces[-1].choices[0].finish_reason
    assert all(piece.usage is None for piece in pieces)
    counted = list(client.chat.completions.create(**HELLO, stream=True, stream_options={"include_usage": True}))
    assert counted[-1].usage is not None
    assert counted[-1].usage.completion_tokens > 0
    assert counted[-1].choices == []

    called = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "use-the-tool"}], tools=[WEATHER])
    calls = called.choices[0].message.tool_calls
    assert calls
    assert calls[0].function.name == "weather"
    assert called.choices[0].finish_reason == "tool_calls"

    completed = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=12)
    assert completed.object == "text_completion"
    assert completed.choices[0].text
    assert "".join(one.choices[0].text for one in client.completions.create(model=MODEL, prompt="Once", max_tokens=12, stream=True))

    vectors = client.embeddings.create(model="text-embedding-tiny", input=["one", "two"])
    plain = client.embeddings.create(model="text-embedding-tiny", input=["one", "two"], encoding_format="float")
    assert [one.index for one in vectors.data] == [0, 1]
    assert vectors.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)

    until(lambda: Generation.objects.filter(state="done").count() == 8, what="eight rows")
    assert Generation.objects.count() == 8
    assert not Generation.objects.exclude(attempts=1, server__isnull=False).exists()
    assert not Generation.objects.filter(decision={}).exists()
    free()
    assert count(emulator, "queued") == 0


def test_sixty_four_at_once_are_each_answered_once_and_no_server_gets_more_than_it_has_slots(
    client: openai.OpenAI, cluster: Cluster
) -> None:
    emulators = cluster(2, loaded=["maker/small"], parallel=3, tokens_per_s=3000.0)
    words = [f"word{number}" for number in range(64)]

    def ask(word: str) -> str:
        said = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": word}], max_tokens=20)
        return said.choices[0].message.content or ""

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, words))
    assert all(answers)
    until(lambda: Generation.objects.filter(state="done").count() == 64, what="64 rows")
    assert sorted(Generation.objects.values_list("text", flat=True)) == sorted(answers)
    assert sorted(one["messages"][0]["content"] for one in Generation.objects.values_list("request", flat=True)) == sorted(words)
    assert sum(count(one, "answered") for one in emulators) == 64
    assert [count(one, "queued") for one in emulators] == [0, 0]
    unharmed(*emulators)
    free()


def test_what_cannot_be_asked_is_an_error_of_the_client_s_own_kind(client: openai.OpenAI, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"])
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="maker/none", messages=HELLO["messages"])
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("maker/none")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sww_abcdefghnobodyhasthis").models.list()
    for wrong in ({"messages": []}, {"temperature": "hot"}, {"max_tokens": 0}, {"stream_options": 7}, {"n": 0}):
        with pytest.raises(openai.BadRequestError) as bad:
            client.chat.completions.create(**HELLO | wrong)
        assert bad.value.type == "invalid_request_error"
    emulator.work.habits = emulator.work.habits.changed({"fault": "overflow", "fault_times": 1})
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(**HELLO)
    assert long.value.code == "context_length_exceeded"
    until(lambda: Generation.objects.filter(state="failed").count() == 1, what="the row")


def test_a_stream_that_is_closed_in_the_middle_frees_its_seat_and_stops_the_server(client: openai.OpenAI, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], tokens_per_s=20.0, parallel=1)
    for close in ("at once", "after a while"):
        stream = client.chat.completions.create(**HELLO | {"max_tokens": 2000}, stream=True)
        next(iter(stream))
        if close == "after a while":
            until(lambda: Generation.objects.filter(state="running").exists(), what="a row")
        stream.close()
        until(lambda: emulator.work.machine.running == 0, what="an end of the generating")
        free()
    until(lambda: Generation.objects.filter(state="cancelled").count() == 2, what="two rows")
    assert Generation.objects.count() == 2
    assert set(Generation.objects.values_list("error", flat=True)) == {"Its client went away."}
    emulator.work.habits = emulator.work.habits.changed({"tokens_per_s": 0})
    assert client.chat.completions.create(**HELLO).choices[0].message.content


def test_whoever_goes_away_while_he_waits_leaves_nothing_behind(client: openai.OpenAI, cluster: Cluster) -> None:
    (emulator,) = cluster(models=[SMALL, MEDIUM], load_seconds=600.0)
    waiting: list[threading.Thread] = []

    def impatient(patience_s: float) -> None:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=patience_s).chat.completions.create(**HELLO)

    for number in range(12):  # some of them while their rows are made
        waiting.append(threading.Thread(target=impatient, args=(0.96 + number * 0.01,)))
        waiting[-1].start()
    for one in waiting:
        one.join()
    until(lambda: not Generation.objects.filter(state__in=["queued", "running"]).exists(), what="an end of every row")
    free()
    assert count(emulator, "answered") == 0
    assert not Seat.objects.exists()
