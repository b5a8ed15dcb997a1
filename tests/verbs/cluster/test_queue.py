"""The door into the cluster."""

from datetime import timedelta
from typing import Any

import pytest

from cluster import account, queue
from cluster.logic.request import Request
from cluster.models import ClusterPolicy, Generation, LanguageModel, Seat, Share
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


@pytest.mark.parametrize(
    ("of_model", "of_policy", "age_s", "cached"),
    [
        (None, 300, 200, True),
        (None, 100, 200, False),
        (300, 100, 200, True),
        (100, 300, 200, False),
        (0, 300, 1, False),
        (None, 0, 1, False),
    ],
)
def test_a_model_may_say_how_long_its_answers_last(
    settings: Any, of_model: float | None, of_policy: float, age_s: float, cached: bool
) -> None:
    settings.ENABLE_RESPONSE_CACHE = True
    build.policy(cache_ttl_s=of_policy)
    build.model(key="maker/model", cache_ttl_s=of_model)
    ended = clock.now() - timedelta(seconds=age_s)
    Generation.objects.filter(pk=submitted().pk).update(state="done", text="Hi.", ended_at=ended)
    assert (submitted().state == "done") is cached


@pytest.mark.parametrize(("newer", "cached"), [(2, True), (3, False)])
def test_only_so_many_answers_of_a_model_are_kept(settings: Any, newer: int, cached: bool) -> None:
    settings.ENABLE_RESPONSE_CACHE = True
    build.policy(cache_entries=3)
    now = clock.now()
    first = submitted()
    Generation.objects.filter(pk=first.pk).update(state="done", text="Hi.", ended_at=now - timedelta(seconds=10))
    for _ in range(newer):
        build.generation(model=first.model, state="done", ended_at=now - timedelta(seconds=5))
        build.generation(model=first.model, state="done", ended_at=now - timedelta(seconds=5), cached=True)
        build.generation(state="done", ended_at=now - timedelta(seconds=5))
    assert (submitted().state == "done") is cached


def test_who_does_not_share_gets_no_stored_answer_and_stores_none(settings: Any) -> None:
    settings.ENABLE_RESPONSE_CACHE = True
    Generation.objects.filter(pk=submitted().pk).update(state="done", text="Hi.", ended_at=clock.now())
    private = submitted(cache=False)
    assert (private.state, private.request_hash) == ("queued", "")
    Generation.objects.filter(pk=private.pk).update(state="done", text="Ho.", ended_at=clock.now())
    assert submitted().text == "Hi."


def test_the_answer_of_another_server_is_not_the_pinned_servers(settings: Any) -> None:
    settings.ENABLE_RESPONSE_CACHE = True
    build.server(name="mac-1")
    Generation.objects.filter(pk=submitted().pk).update(state="done", text="Hi.", ended_at=clock.now())
    assert submitted(pin="mac-1").state == "queued"


def test_a_lone_request_has_its_share_now_and_its_turn_after_its_priority() -> None:
    now = clock.now()
    build.policy(ageing_s=2.0)
    row = submitted(priority=10, now=now)
    assert (row.share_at, row.turn_at) == (now, now + timedelta(seconds=20))


def test_a_burst_of_one_caller_is_spread_by_what_answers_take_and_another_caller_is_not_behind_it() -> None:
    now = clock.now()
    model = build.model(key="maker/model")
    for answer_seconds in (2.0, 4.0, None):
        build.offer(model=model, answer_seconds=answer_seconds)
    build.placement(model=model, slots=2)
    build.placement(model=model, slots=1)
    burst = [submitted(caller="entity:loud", now=now, cache=False) for _ in range(4)]
    assert [(row.share_at - now).total_seconds() for row in burst] == [0.0, 1.0, 2.0, 3.0]  # three at once
    assert submitted(caller="entity:quiet", now=now, cache=False).share_at == now


@pytest.mark.parametrize(("weight", "apart_s"), [(1.0, 1.25), (2.0, 0.625), (0.5, 2.5)])
def test_a_heavier_caller_is_spread_less(weight: float, apart_s: float) -> None:
    now = clock.now()
    build.share(caller="test", weight=weight)
    rows = [submitted(now=now, cache=False) for _ in range(2)]
    assert rows[1].share_at - rows[0].share_at == timedelta(seconds=apart_s)


def test_what_is_no_longer_queued_is_no_backlog() -> None:
    now = clock.now()
    first = submitted(now=now, cache=False)
    Generation.objects.filter(pk=first.pk).update(state="done", text="Hi.", ended_at=now, share_at=now + timedelta(hours=1))
    assert submitted(now=now, cache=False).share_at == now


def test_a_load_on_its_account_puts_the_next_request_of_a_caller_back_and_nobody_elses() -> None:
    now = clock.now()
    account.charge("test", 40, now)
    account.charge("test", 20, now)
    assert submitted(now=now, cache=False).share_at == now + timedelta(seconds=60)
    assert submitted(now=now, cache=False, caller="another").share_at == now


def test_a_charge_is_weighed_and_bounded() -> None:
    now = clock.now()
    build.share(caller="heavy", weight=4.0)
    assert account.charge("heavy", 40, now) == now + timedelta(seconds=10)
    assert account.charge("light", 4000, now) == now + timedelta(seconds=120)
    assert Share.objects.get(caller="light").charged_until == now + timedelta(seconds=120)


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
