"""The cluster with other programs than LM Studio on the other side: found out, used, loaded and evicted each in its own manner."""

from collections.abc import Callable

import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Offer, Placement, Server
from tests import build
from tests.harness import engines, until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, loaded, online

Start = Callable[..., Studio]
KEY = "sk-lm-Emu1ated:abcdefghij0123456789"


@pytest.mark.parametrize("profile", ["ollama", "llamacpp-router"])
def test_what_loads_is_loaded_once_used_again_and_evicted_for_another(studio: Start, profile: str) -> None:
    build.policy(min_residency_s=0)
    emulator = studio(profile=profile, models=["one:8", "two:8"], budget_gb=14, load_seconds=0.1)
    with engines():
        for model, n in (("one", 1), ("one", 1), ("two", 4)):
            done(ask(model, n))
    assert Server.objects.get().detected == profile
    assert (count(emulator, "loaded"), count(emulator, "unloaded")) == (2, 1)
    assert (count(emulator, "evicted"), count(emulator, "reloaded"), count(emulator, "unloaded_while_serving")) == (0, 0, 0)


def test_a_context_that_a_model_was_loaded_with_stays_its_context_on_ollama(studio: Start) -> None:
    emulator = studio(profile="ollama", models=["one:4"])
    build.model(key="one", context_length=8192)
    with engines():
        done(ask("one", 5))
        (placement,) = loaded("one")
    assert placement.context_length == 8192
    assert (count(emulator, "loading"), count(emulator, "reloaded")) == (1, 0)


def test_the_memory_that_ollama_counts_is_the_memory_that_is_booked(studio: Start) -> None:
    emulator = studio(profile="ollama", models=["one:4"], loaded=["one"])
    with engines():
        online()
        (placement,) = loaded("one")
    assert placement.gb == pytest.approx(emulator.work.machine.instances["one"].memory / 2**30, abs=0.02)


@pytest.mark.parametrize("profile", ["llamacpp", "vllm", "openai"])
def test_what_is_always_there_takes_no_memory_and_is_never_loaded(studio: Start, profile: str) -> None:
    emulator = studio(profile=profile, models=[SMALL], budget_gb=1.0, parallel=3)
    with engines():
        done(ask("maker/small", 6))
    placement = Placement.objects.get()
    assert (placement.gb, placement.state, placement.slots) == (0.0, "loaded", 3 if profile == "llamacpp" else 1)
    assert count(emulator, "loading") == 0


def test_a_cloud_with_hundreds_of_models_gets_the_one_that_is_asked_for(studio: Start) -> None:
    many = [f"maker/number-{n}:1" for n in range(120)]
    studio(profile="cloud", models=[*many, SMALL], row={"token": KEY, "slots": 8})
    with engines():
        answers = done(ask("maker/small", 5))
        online()
    assert {g.server.name for g in answers if g.server} == {"studio-1"}
    assert [offer.model.key for offer in Offer.objects.all()] == ["maker/small"]


def test_all_kinds_work_side_by_side(studio: Start) -> None:
    kinds = ["0.4.25", "ollama", "llamacpp-router", "llamacpp", "vllm"]
    for kind in kinds:
        studio(name=kind, profile=kind, models=[SMALL, MEDIUM], tokens_per_s=300.0, row={"slots": 2})
    with engines(2):
        online(len(kinds))
        answers = done([*ask("maker/small", 40), *ask("maker/medium", 10)])
    assert all(g.attempts == 1 for g in answers)
    assert {"llamacpp", "vllm"} <= {g.server.name for g in answers if g.server}


def test_a_cloud_without_credit_rests_and_its_work_goes_elsewhere(studio: Start) -> None:
    cloud = studio(name="cloud", profile="cloud", models=[SMALL], fault="credit", row={"token": KEY, "slots": 8})
    studio(name="mac", models=[SMALL], loaded=["maker/small"])
    with engines():
        online(2)
        assert {g.server.name for g in done(ask("maker/small", 12)) if g.server} == {"mac"}
        if count(cloud, "fault"):
            until(lambda: Server.objects.get(name="cloud").state == "rate-limited", what="rest")


def test_answers_that_filled_one_context_together_are_asked_again_and_the_server_stays_well(studio: Start) -> None:
    studio(profile="llamacpp", models=[SMALL], parallel=4, tokens_per_s=200.0, fault="crowded", fault_times=1)
    with engines():
        answers = done(ask("maker/small", 6))
        (placement,) = loaded("maker/small")
    assert {tried["code"] for g in answers for tried in g.tried} == {"crowded"}
    assert Offer.objects.get().crashed_at is not None  # one at a time for a while
    assert (placement.failures, placement.server.failures, placement.server.state) == (0, 0, "online")
