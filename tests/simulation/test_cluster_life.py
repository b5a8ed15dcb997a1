"""Life with real servers: what people and other programs do there, what does not fit, what dies."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from cluster import queue, read
from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, LanguageModel, Offer, Placement, Seat
from swwbot_site.lib import clock
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event
from tests import build
from tests.harness import Background, engines, until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, loaded, online, unharmed

Start = Callable[..., Studio]


def by_hand(emulator: Studio, background: Background, model: str = "maker/small", ttl_s: int | None = None) -> None:
    """Somebody loads a model in LM Studio itself; returns when it is there."""
    background.run(emulator.work.load(emulator.work.machine.models[model], ttl_s=ttl_s))


def begun_by_hand(emulator: Studio, background: Background, model: str = "maker/small") -> None:
    """Somebody begins to load a model; returns when the load has begun."""
    work = emulator.work.load(emulator.work.machine.models[model])
    asyncio.run_coroutine_threadsafe(work, background.loop)
    until(lambda: model in emulator.work.machine.instances, what="the load by hand")


def finish_loads(emulator: Studio, background: Background) -> None:
    """Let every load that goes on be done now."""
    for instance in list(emulator.work.machine.instances.values()):
        background.loop.call_soon_threadsafe(instance.ready.set)


def rested() -> None:
    """No pair of server and model rests any more."""
    Offer.objects.update(cooldown_until=clock.now() - timedelta(seconds=1))
    wake(Channel.SERVE)


def said(kind: str) -> int:
    return Event.objects.filter(kind=kind).count()


# --- what others load --------------------------------------------------------------------------------------------
def test_a_duplicate_that_nobody_uses_is_unloaded_and_the_older_copy_serves(studio: Start, background: Background) -> None:
    build.policy(reconcile_interval_s=0.2)
    emulator = studio(models=[SMALL])
    for _ in range(3):
        by_hand(emulator, background)
    assert sorted(emulator.work.machine.instances) == ["maker/small", "maker/small:2", "maker/small:3"]
    with engines():
        until(lambda: list(emulator.work.machine.instances) == ["maker/small"], what="the end of the copies")
        (kept,) = loaded("maker/small")
        done(ask("maker/small", 3))
    assert kept.instance_id == "maker/small"
    assert (said("placement.duplicate"), said("placement.lost")) == (2, 0)
    unharmed(emulator)


def test_a_duplicate_that_serves_stays_until_it_is_done(studio: Start, background: Background) -> None:
    build.policy(reconcile_interval_s=0.1)
    emulator = studio(models=[SMALL], parallel=1, tokens_per_s=1.0)
    by_hand(emulator, background)
    with engines():
        loaded("maker/small")
        ids = ask("maker/small", 2)
        until(lambda: emulator.work.machine.running == 1, what="an answer")
        by_hand(emulator, background)
        until(lambda: emulator.work.machine.running == 2, what="two answers on two copies")
        looks = count(emulator, "requests")
        until(lambda: count(emulator, "requests") > looks + 6, what="some looks at the list")
        assert len(emulator.work.machine.instances) == 2
        emulator.set(tokens_per_s=0.0)
        done(ids)
        until(lambda: len(emulator.work.machine.instances) == 1, what="the end of the copy")
    assert all(g.attempts == 1 for g in Generation.objects.all())
    unharmed(emulator)


def test_what_somebody_loaded_since_the_last_look_is_used_and_not_loaded_twice(studio: Start, background: Background) -> None:
    emulator = studio(models=[SMALL])
    with engines():
        online()
        by_hand(emulator, background)
        done(ask("maker/small", 3))
    assert (count(emulator, "loading"), list(emulator.work.machine.instances)) == (1, ["maker/small"])
    assert Offer.objects.get().load_seconds is None, "a load that was not ours teaches nothing"


def test_what_somebody_is_loading_is_waited_for_and_not_loaded_twice(studio: Start, background: Background) -> None:
    build.policy(load_poll_interval_s=0.05)
    emulator = studio(models=[SMALL, MEDIUM], load_seconds=600.0)
    with engines():
        online()
        begun_by_hand(emulator, background)
        ids = ask("maker/small", 2)
        until(lambda: Placement.objects.filter(state="loading").exists(), what="the reservation")
        looks = count(emulator, "requests")
        until(lambda: count(emulator, "requests") > looks + 4, what="looks at the list")
        finish_loads(emulator, background)
        done(ids)
    assert count(emulator, "loading") == 1


def test_while_somebody_loads_something_nothing_else_is_loaded_there(studio: Start, background: Background) -> None:
    build.policy(reconcile_interval_s=0.1)
    emulator = studio(models=[SMALL, MEDIUM], load_seconds=600.0, overlap="older")
    begun_by_hand(emulator, background)
    with engines():
        until(lambda: Placement.objects.filter(state="loading", adopted=True).exists(), what="the foreign load")
        ids = ask("maker/medium")
        until(lambda: Generation.objects.exclude(decision={}).exists(), what="the wait")
        assert count(emulator, "loading") == 1
        finish_loads(emulator, background)
        until(lambda: count(emulator, "loading") == 2, what="our own load")
        finish_loads(emulator, background)
        done([*ids, *ask("maker/small")])
    assert count(emulator, "load-canceled") == 0
    unharmed(emulator)


def test_what_leaves_when_its_time_to_live_is_over_is_no_error(studio: Start, background: Background) -> None:
    build.policy(reconcile_interval_s=0.1)
    emulator = studio(models=[SMALL])
    by_hand(emulator, background, ttl_s=1)
    instance = emulator.work.machine.instances["maker/small"]
    instance.waiting.append(background.loop.create_future())  # it does not leave before its end is known
    with engines():
        loaded("maker/small")
        until(lambda: Placement.objects.filter(expires_at__lte=clock.now()).exists(), what="the end of its time")
        instance.waiting.clear()
        until(lambda: Placement.objects.filter(state="gone").exists(), what="its end")
        done(ask("maker/small"))
    gone = Placement.objects.get(state="gone")
    assert gone.reason == "its time to live was over"
    assert (said("placement.lost"), count(emulator, "expired")) == (0, 1)


def test_an_answer_whose_model_another_program_evicts_is_given_after_all(studio: Start, background: Background) -> None:
    emulator = studio(models=[SMALL, MEDIUM], tokens_per_s=1.0)
    by_hand(emulator, background, ttl_s=3600)
    with engines():
        loaded("maker/small")
        ids = ask("maker/small")
        until(lambda: emulator.work.machine.running == 1, what="the answer")
        background.run(emulator.work.demanded(emulator.work.machine.models["maker/medium"], None))
        emulator.set(tokens_per_s=0.0)
        (answer,) = done(ids)
    assert [a["code"] for a in answer.tried] == ["model-unloaded"]
    assert count(emulator, "auto-evicted") == 1
    assert Placement.objects.get(model__key="maker/small", state="loaded").adopted is False


# --- what does not fit -------------------------------------------------------------------------------------------
def test_what_a_server_says_it_needs_is_made_room_for(studio: Start) -> None:
    """The guardrail thinks twice of what we reckon; beside the other model that is too much, alone it fits."""
    build.policy(min_residency_s=0)
    emulator = studio(models=["maker/one:8", "maker/two:8"], budget_gb=28, guardrail_names_gb=True)
    with engines():
        done(ask("maker/one"))
        emulator.set(estimate_factor=2.0)
        ids = ask("maker/two")
        until(lambda: LanguageModel.objects.filter(key="maker/two", size_source="guardrail").exists(), what="the lesson")
        rested()
        done(ids)
    assert (count(emulator, "guardrail"), count(emulator, "unloaded")) == (1, 1)
    assert LanguageModel.objects.get(key="maker/two").size_gb == pytest.approx(19.3, abs=0.1)


def test_what_does_not_fit_is_loaded_with_half_the_context_and_prompts_are_cut_to_that(studio: Start) -> None:
    emulator = studio(models=[MEDIUM], memory_gb=14, budget_gb=20)
    with engines():
        online()
        LanguageModel.objects.update(context_length=32_768)
        ids = ask("maker/medium")
        until(lambda: Offer.objects.filter(context_limit=16_384).exists(), what="the smaller context")
        assert queue.context_length("maker/medium") == 16_384
        rested()
        done(ids)
    placement = Placement.objects.get(state="loaded")
    assert (placement.context_length, count(emulator, "guardrail")) == (16_384, 1)
    assert placement.gb == pytest.approx(11.9)
    assert queue.context_length("maker/medium") == 16_384


def test_what_does_not_fit_with_less_context_either_rests_longer_each_time(studio: Start) -> None:
    emulator = studio(models=[MEDIUM], load_error="memory")
    rests = []
    with engines():
        online()
        LanguageModel.objects.update(context_length=16_384)
        ask("maker/medium")
        for n in range(1, 4):
            until(lambda n=n: Placement.objects.filter(state="failed").count() == n, what=f"failure {n}")
            until_, ended = Offer.objects.get().cooldown_until, Placement.objects.latest("id").ended_at
            assert until_ is not None
            assert ended is not None
            rests.append(round((until_ - ended).total_seconds()))
            rested()
    assert rests == [5, 240, 480]
    assert Offer.objects.get().context_limit == 8192
    assert count(emulator, "loaded") == 0


def test_memory_is_given_back_only_when_the_list_confirms_it(studio: Start) -> None:
    """The model is unloaded, but the server cannot be asked: its memory is not given to another one."""
    build.policy(min_residency_s=0, overdue_s=0.1, probe_timeout_s=0.2, breaker_pause_s=0.1)
    emulator = studio(models=["maker/one:8", "maker/two:8"], budget_gb=14)
    with engines():
        done(ask("maker/one"))
        emulator.set(list_fault="hang")
        ids = ask("maker/two")
        until(lambda: count(emulator, "unloaded") == 1, what="the unload")
        until(lambda: said("placement.stayed"), what="the doubt")
        assert Placement.objects.get().state in ("loaded", "unloading")
        assert count(emulator, "loading") == 1
        emulator.set(list_fault="")
        done(ids)
    assert count(emulator, "loaded") == 2
    unharmed(emulator)


# --- loads -------------------------------------------------------------------------------------------------------
def test_a_load_shows_how_far_it_is(studio: Start, background: Background) -> None:
    emulator = studio(models=[SMALL], load_seconds=600.0)

    def progress() -> float | None:
        return read.overview().servers[0].held[0].progress

    with engines():
        online()
        Offer.objects.update(load_seconds=1200.0)
        ids = ask("maker/small")
        until(lambda: count(emulator, "loading") == 1, what="the load")
        first = progress()
        assert first is not None
        assert 0 <= first < 0.5
        until(lambda: (progress() or 0) > first, what="progress")
        finish_loads(emulator, background)
        done(ids)
        assert progress() is None


def test_a_load_that_outlives_all_patience_is_never_sent_again_and_is_used_when_it_is_done(studio: Start, background: Background) -> None:
    build.policy(load_timeout_s=0.1, load_poll_interval_s=0.05, max_load_attempts=2, reconcile_interval_s=0.2)
    emulator = studio(models=[SMALL], load_seconds=600.0)
    with engines():
        online()
        Offer.objects.update(load_seconds=0.01)
        ids = ask("maker/small")
        until(lambda: Placement.objects.filter(state="failed").exists(), what="the end of patience")
        until(lambda: Placement.objects.filter(state="loading", adopted=True).exists(), what="the load is seen as somebody's")
        rested()
        looks = count(emulator, "requests")
        until(lambda: count(emulator, "requests") > looks + 4, what="looks at the list")
        assert count(emulator, "loading") == 1
        finish_loads(emulator, background)
        done(ids)
    assert count(emulator, "loading") == 1
    unharmed(emulator)


# --- what dies ---------------------------------------------------------------------------------------------------
def test_after_a_crash_the_model_is_loaded_again_and_answers_one_at_a_time(studio: Start) -> None:
    emulator = studio(models=[SMALL], loaded=["maker/small"], fault="crash", fault_times=1)
    with engines():
        (answer,) = done(ask("maker/small"))
        assert [a["code"] for a in answer.tried] == ["model-crashed"]
        emulator.set(tokens_per_s=1.0)
        ids = ask("maker/small", 3)
        until(lambda: emulator.work.machine.running == 1, what="an answer")
        until(lambda: Generation.objects.filter(state="queued", decision__has_key="waits").count() == 2, what="the others wait")
        assert Seat.objects.count() == 1
        emulator.set(tokens_per_s=0.0)
        done(ids)
    offer = Offer.objects.get()
    assert offer.crashed_at is not None
    assert count(emulator, "loaded") == 1


def test_an_engine_that_dies_while_it_loads_is_tried_with_less_context_and_then_answers_one_at_a_time(studio: Start) -> None:
    emulator = studio(models=[SMALL], load_error="sigabrt", load_error_times=1)
    with engines():
        online()
        LanguageModel.objects.update(context_length=16_384)
        ids = ask("maker/small")
        until(lambda: Offer.objects.filter(context_limit=8192, crashed_at__isnull=False).exists(), what="the lesson")
        rested()
        done(ids)
    assert Placement.objects.get(state="loaded").context_length == 8192
    assert (count(emulator, "load-failed"), count(emulator, "loaded")) == (1, 1)
