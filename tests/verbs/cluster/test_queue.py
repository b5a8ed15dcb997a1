"""The door into the cluster."""

from datetime import timedelta
from typing import Any

import pytest

from cluster import queue
from cluster.logic.request import Request
from cluster.models import ClusterPolicy, Generation, LanguageModel, Seat
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db

HELLO = Request(messages=[{"role": "user", "content": "Hello?"}], sampling={"temperature": 0.5}, max_tokens=50, stop=["\n"])


def submitted(model: str = "maker/model", **over: Any) -> Generation:
    return Generation.objects.get(pk=queue.submit(model, HELLO, **{"caller": "test", "now": clock.now()} | over))


def test_a_request_waits_with_all_it_needs() -> None:
    server, deadline = build.server(name="mac-1"), clock.now() + timedelta(minutes=1)
    row = submitted(priority=7, deadline=deadline, pin="mac-1")
    assert (row.state, row.priority, row.deadline, row.pin, row.caller) == ("queued", 7, deadline, server, "test")
    assert row.request == {
        "messages": [{"role": "user", "content": "Hello?"}],
        "sampling": {"temperature": 0.5},
        "max_tokens": 50,
        "stop": ["\n"],
    }


@pytest.mark.parametrize(("asked", "kept"), [(-5, 0), (0, 0), (99, 99), (1000, 99)])
def test_priorities_are_kept_within_their_bounds(asked: int, kept: int) -> None:
    assert submitted(priority=asked).priority == kept


@pytest.mark.parametrize("name", ["google/gemma-3-27b", "Google/Gemma-3-27B", " google/gemma-3-27b ", "big-one", "google/gemma-3-27b@q4"])
def test_a_model_is_found_by_its_key_its_aliases_and_in_any_case(name: str) -> None:
    model = build.model(key="google/gemma-3-27b", aliases=["big-one", "google/gemma-3-27b@q4"])
    build.model(key="google/gemma-3-4b")
    assert queue.resolve(name) == model
    assert LanguageModel.objects.count() == 2


def test_a_name_without_a_variant_finds_the_model_that_has_one() -> None:
    model = build.model(key="maker/model@q8_0")
    build.offer(model=model)
    assert queue.resolve("maker/model") == model
    assert queue.resolve("model") == model


def test_a_name_with_a_variant_finds_the_model_whose_variants_are_not_told_apart() -> None:
    model = build.model(key="the-eternal")
    build.offer(model=model)
    assert queue.resolve("The-Eternal@f16") == model


def test_a_name_that_several_servers_models_answer_to_is_refused_with_their_names() -> None:
    for key in ("google/gemma-3-27b", "unsloth/gemma-3-27b"):
        build.offer(model=build.model(key=key))
    with pytest.raises(queue.AmbiguousModel, match="google/gemma-3-27b, unsloth/gemma-3-27b"):
        queue.resolve("gemma-3-27b")


def test_another_variant_is_another_model() -> None:
    build.model(key="maker/model")
    assert queue.resolve("maker/model@q4").key == "maker/model@q4"


def test_an_unknown_model_is_noted_with_a_guess_of_its_size() -> None:
    model = queue.resolve("Somebody/new-70B")
    assert (model.key, model.size_gb, model.size_source) == ("somebody/new-70b", 40.0, "guess")
    assert queue.resolve("somebody/NEW-70b") == model


def test_without_a_name_it_is_the_default_model() -> None:
    with pytest.raises(queue.NoModel, match="default model"):
        queue.resolve("")
    build.policy(default_model="Maker/Default")
    assert queue.resolve(" ").key == "maker/default"


@pytest.mark.parametrize("name", ["mac-1", "http://10.0.0.102:1234", "10.0.0.102:1234", "10.0.0.102"])
def test_a_server_is_pinned_by_name_or_address(name: str) -> None:
    build.server(name="mac-0", url="http://10.0.0.101:1234")
    server = build.server(name="mac-1", url="http://10.0.0.102:1234")
    assert queue.pinned(name) == server


def test_no_pin_is_any_server_and_an_unknown_pin_is_an_error() -> None:
    assert queue.pinned("") is None
    with pytest.raises(queue.NoServer, match="'mac-9'"):
        queue.pinned("mac-9")


def test_an_equal_request_gets_the_stored_answer(settings: Any) -> None:
    settings.ENABLE_RESPONSE_CACHE = True
    first = submitted()
    Generation.objects.filter(pk=first.pk).update(state="done", text="Hi.", finish_reason="stop", completion_tokens=2, ended_at=clock.now())
    again = submitted()
    assert (again.state, again.cached, again.text, again.completion_tokens) == ("done", True, "Hi.", 2)
    assert again.decision == {"why": f"the same request was answered by generation {first.pk}"}


NOT_CACHED: dict[str, dict[str, Any]] = {
    "it is still running": {"state": "queued"},
    "it failed": {"state": "failed", "ended_at": clock.now()},
    "it was empty": {"state": "done", "text": "", "ended_at": clock.now()},
    "it is too old": {"state": "done", "text": "Hi.", "ended_at": clock.now() - timedelta(seconds=301)},
    "it was a copy": {"state": "done", "text": "Hi.", "ended_at": clock.now(), "cached": True},
    "it was another model": {"state": "done", "text": "Hi.", "ended_at": clock.now(), "request_hash": "another"},
}


@pytest.mark.parametrize("values", NOT_CACHED.values(), ids=NOT_CACHED.keys())
def test_an_equal_request_is_asked_again_if(settings: Any, values: dict[str, Any]) -> None:
    settings.ENABLE_RESPONSE_CACHE = True
    Generation.objects.filter(pk=submitted().pk).update(**values)
    assert submitted().state == "queued"


def test_without_the_cache_everything_is_asked(settings: Any) -> None:
    settings.ENABLE_RESPONSE_CACHE = False
    Generation.objects.filter(pk=submitted().pk).update(state="done", text="Hi.", ended_at=clock.now())
    assert submitted().state == "queued"


def test_a_waiting_and_a_running_request_can_be_called_off() -> None:
    waiting, seat = submitted(), build.seat()
    assert queue.cancel(waiting.pk, clock.now(), "never mind")
    assert queue.cancel(seat.generation_id, clock.now(), "never mind")
    for pk in (waiting.pk, seat.generation_id):
        row = Generation.objects.get(pk=pk)
        assert (row.state, row.error_code, row.error, row.lease_owner) == ("cancelled", "cancelled", "never mind", None)
    assert not Seat.objects.exists()


@pytest.mark.parametrize("state", ["done", "failed", "expired", "cancelled"])
def test_what_has_ended_is_not_called_off(state: str) -> None:
    row = build.generation(state=state)
    assert not queue.cancel(row.pk, clock.now(), "never mind")
    row.refresh_from_db()
    assert row.state == state


def test_what_does_not_exist_is_not_called_off() -> None:
    assert not queue.cancel(4711, clock.now(), "never mind")


def test_what_waited_past_its_deadline_expires_and_nothing_else() -> None:
    now = clock.now()
    past, future = now - timedelta(seconds=1), now + timedelta(seconds=1)
    late, soon = build.generation(deadline=past), build.generation(deadline=future)
    patient, busy = build.generation(), build.generation(state="running", deadline=past)
    assert queue.expire(now) == 1
    assert {g.pk: g.state for g in Generation.objects.all()} == {
        late.pk: "expired",
        soon.pk: "queued",
        patient.pk: "queued",
        busy.pk: "running",
    }
    assert ClusterPolicy.objects.count() <= 1
