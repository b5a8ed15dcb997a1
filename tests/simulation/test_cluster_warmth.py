"""What stays in memory, what comes before anybody asks, and a model that is replaced while it works; with real servers on the other side."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cluster import queue, swap, warm
from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, LanguageModel, Offer, Placement, Server
from swwbot_site.lib import clock
from tests import build
from tests.harness import engines, until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, loaded, online, unharmed

Start = Callable[..., Studio]
OLD, NEW = "maker/old:8", "maker/new:8"


def model(key: str) -> LanguageModel:
    return LanguageModel.objects.get(key=key)


def offered(key: str, servers: int = 1) -> list[int]:
    """Wait until so many servers have told that they have a model; returns the pairs."""
    rows = Offer.objects.filter(model__key=key)
    until(lambda: rows.count() == servers, what=f"{key} found on {servers} servers")
    return list(rows.values_list("pk", flat=True))


def gone(key: str) -> Placement:
    """Wait until no server holds a model any more; returns where it was last."""
    rows = Placement.objects.filter(model__key=key)
    until(lambda: rows.exists() and not rows.exclude(state="gone").exists(), what=f"{key} gone")
    return rows.latest("ended_at")


# --- residency ---------------------------------------------------------------------------------------------------
def test_a_model_unused_for_the_unload_delay_leaves_if_models_are_not_kept(studio: Start) -> None:
    build.policy(keep_models_loaded=False, unload_delay_s=0.5, min_residency_s=0, preload=False)
    emulator = studio(models=[SMALL])
    with engines():
        done(ask("maker/small"))
        assert "unused" not in gone("maker/small").reason, "the reason of a load stays with it"
        done(ask("maker/small"))
    assert count(emulator, "loaded") == 2
    unharmed(emulator)


def test_a_model_stays_until_its_room_is_needed_if_models_are_kept(studio: Start) -> None:
    build.policy(keep_models_loaded=True, unload_delay_s=0, min_residency_s=0, preload=False)
    emulator = studio(models=[SMALL, "maker/other:4"], budget_gb=14)
    with engines():
        done(ask("maker/small"))
        done(ask("maker/other"))
        done(ask("maker/small"))
    assert count(emulator, "unloaded") == 0
    assert count(emulator, "loaded") == 2
    unharmed(emulator)


def test_what_is_to_stay_is_loaded_unasked_and_what_needs_its_room_waits_until_it_may_go(studio: Start) -> None:
    build.policy(min_residency_s=0, preload=False, overdue_s=0.5)
    emulator = studio(models=["maker/one:8", "maker/two:8"], budget_gb=14)
    build.offer(server=Server.objects.get(), model=build.model(key="maker/one"), pinned=True)
    with engines():
        loaded("maker/one")
        other = ask("maker/two", 2, priority=0)
        until(lambda: Generation.objects.filter(pk__in=other, decision__has_key="waits").exists(), what="it waits")
        assert done(ask("maker/one", 2))
        assert Generation.objects.filter(pk__in=other, state="queued").count() == 2
        warm.keep(offered("maker/one"), on=False)
        done(other)
    assert count(emulator, "loaded") == 2
    unharmed(emulator)


# --- before anybody asks -----------------------------------------------------------------------------------------
def test_who_is_mentioned_is_loaded_before_the_question_and_counts_as_a_hit(studio: Start) -> None:
    build.policy(preload=True)
    emulator = studio(models=[SMALL, MEDIUM], budget_gb=32)
    with engines():
        online()
        offered("maker/small")
        LanguageModel.objects.filter(key="maker/small").update(usual=0.002)
        queue.expect(["maker/small"], clock.now())
        (placement,) = loaded("maker/small")
        assert (placement.preloaded, placement.caused_by) == (True, "")
        assert warm.report(clock.now() - timedelta(hours=1)).open == 1
        (answer,) = done(ask("maker/small"))
        assert answer.placement_id == placement.pk
    found = warm.report(clock.now() - timedelta(hours=1))
    assert (found.preloads, found.hits, found.misses, found.wasted_gb, found.hit_rate) == (1, 1, 0, 0.0, 1.0)
    assert count(emulator, "loaded") == 1
    assert not Placement.objects.filter(model__key="maker/medium").exists()


def test_what_was_loaded_for_nothing_makes_room_at_once_and_is_told(studio: Start) -> None:
    build.policy(preload=True, min_residency_s=0)
    emulator = studio(models=["maker/one:8", "maker/two:8"], budget_gb=14)
    with engines():
        online()
        offered("maker/one")
        LanguageModel.objects.filter(key="maker/one").update(usual=0.01)
        (placement,) = loaded("maker/one")
        LanguageModel.objects.filter(key="maker/one").update(usual=0.0)
        done(ask("maker/two", 3))
        placement.refresh_from_db()
        assert placement.state == "gone"
    found = warm.report(clock.now() - timedelta(hours=1))
    assert (found.preloads, found.hits, found.misses, found.hit_rate) == (1, 0, 1, 0.0)
    assert found.wasted_gb == placement.gb
    unharmed(emulator)


# --- a newer version ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("running", [1, 2], ids=["one engine", "two engines"])
def test_a_model_is_replaced_under_load_without_a_failure_or_a_gap(studio: Start, running: int) -> None:
    emulators = [studio(models=[OLD, NEW], loaded=["maker/old"], budget_gb=40, load_seconds=0.5, tokens_per_s=600.0) for _ in range(2)]
    asked: list[int] = []

    def replaced() -> bool:
        asked.extend(ask("maker/old", 2))
        return model("maker/old").replaced_at is not None

    with engines(running):
        online(2)
        offered("maker/new", 2)
        done(ask("maker/old", 4))
        swap.swap(model("maker/old"), model("maker/new"), clock.now())
        until(replaced, what="the switch")
        after = ask("maker/old", 20)
        answers = done([*asked, *after])
        assert all(answer.attempts == 1 for answer in answers)
        assert {answer.model.key for answer in answers if answer.pk in after} == {"maker/new"}
        left = gone("maker/old")
        first = Placement.objects.filter(model__key="maker/new").earliest("loaded_at")
        assert first.loaded_at is not None
        assert left.ended_at is not None
        assert first.loaded_at < left.ended_at, "one of them was there at every moment"
        done(ask("old", 3))
    assert not Generation.objects.exclude(state="done").exists()
    assert sum(count(emulator, "loading") for emulator in emulators) == Placement.objects.filter(model__key="maker/new").count()
    unharmed(*emulators)


def test_a_model_is_replaced_where_there_is_room_for_one_of_them_only(studio: Start) -> None:
    build.policy(min_residency_s=0, overdue_s=0.5)
    emulator = studio(models=[OLD, NEW], loaded=["maker/old"], budget_gb=14, load_seconds=0.3)
    with engines():
        done(ask("maker/old", 2))
        offered("maker/new")
        swap.swap(model("maker/old"), model("maker/new"), clock.now())
        until(lambda: model("maker/old").replaced_at, what="the switch")
        assert {answer.model.key for answer in done(ask("maker/old", 4))} == {"maker/new"}
    assert not Generation.objects.exclude(state="done").exists()
    unharmed(emulator)


def test_an_undone_swap_brings_the_old_model_back(studio: Start) -> None:
    emulator = studio(models=[OLD, NEW], loaded=["maker/old"], budget_gb=40)
    with engines():
        done(ask("maker/old"))
        offered("maker/new")
        swap.swap(model("maker/old"), model("maker/new"), clock.now())
        until(lambda: model("maker/old").replaced_at, what="the switch")
        swap.undo(model("maker/old"))
        assert {answer.model.key for answer in done(ask("maker/old", 2))} == {"maker/old"}
    unharmed(emulator)
