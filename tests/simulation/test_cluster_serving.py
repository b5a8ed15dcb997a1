"""The cluster with real servers on the other side: found, chosen, loaded, used again, evicted."""

from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, Offer, Placement, Server
from tests import build
from tests.harness import Background, engines, until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, loaded, online, unharmed

Start = Callable[..., Studio]


def test_connects_to_multiple_servers_and_distributes_load(studio: Start) -> None:
    emulators = [studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=400.0) for _ in range(3)]
    with engines():
        online(3)
        answers = done(ask("maker/small", 24))
    assert Counter(g.server.name for g in answers if g.server).keys() == {"studio-1", "studio-2", "studio-3"}
    assert all(g.attempts == 1 for g in answers)
    assert all(count(e, "loading") == 0 for e in emulators)
    unharmed(*emulators)


def test_detects_availability_and_routes_to_the_available_server(studio: Start, background: Background) -> None:
    dead, alive = studio(models=[SMALL], loaded=["maker/small"]), studio(models=[SMALL], loaded=["maker/small"])
    background.run(dead.stop())
    with engines():
        until(lambda: Server.objects.get(name="studio-1").state == "offline", what="offline")
        assert {g.server.name for g in done(ask("maker/small", 6)) if g.server} == {"studio-2"}
    assert count(alive, "requests") > 0
    assert all(g.attempts == 1 for g in Generation.objects.all())


def test_loads_a_model_on_demand_once_and_reuses_it(studio: Start) -> None:
    emulator = studio(models=[SMALL], load_seconds=0.2)
    with engines():
        done(ask("maker/small", 8))
        done(ask("Maker/Small", 8))
    assert count(emulator, "loading") == 1
    assert Placement.objects.count() == 1
    assert Placement.objects.get().slots == 4
    unharmed(emulator)


def test_prefers_the_server_that_has_the_model_already(studio: Start) -> None:
    cold, warm = studio(models=[SMALL]), studio(models=[SMALL], loaded=["maker/small"])
    with engines():
        online(2)
        assert {g.server.name for g in done(ask("maker/small", 3)) if g.server} == {"studio-2"}
    assert (count(cold, "loading"), count(warm, "loading")) == (0, 0)


def test_queues_requests_when_all_servers_are_busy_and_never_overfills_one(studio: Start) -> None:
    emulators = [studio(models=[SMALL], loaded=["maker/small"], parallel=2, tokens_per_s=600.0) for _ in range(2)]
    with engines():
        done(ask("maker/small", 20))
    assert all(count(e, "queued") == 0 for e in emulators), "a server had more than it answers at once"


def test_unloads_when_switching_under_a_tight_budget_and_answers_both(studio: Start) -> None:
    build.policy(min_residency_s=0)
    emulator = studio(models=["maker/one:8", "maker/two:8"], budget_gb=14)
    with engines():
        for model in ("maker/one", "maker/two", "maker/one"):
            done(ask(model, 3))
    assert (count(emulator, "loaded"), count(emulator, "unloaded")) == (3, 2)
    unharmed(emulator)


def test_a_model_in_use_is_not_evicted_and_the_other_is_answered_after_it(studio: Start) -> None:
    build.policy(min_residency_s=0)
    emulator = studio(models=["maker/one:8", "maker/two:8"], budget_gb=14, tokens_per_s=150.0)
    with engines():
        first = ask("maker/one", 3)
        loaded("maker/one")
        other = ask("maker/two", 3)
        done([*first, *other])
    ended = max(g.ended_at for g in Generation.objects.filter(pk__in=first) if g.ended_at)
    assert min(g.seated_at for g in Generation.objects.filter(pk__in=other) if g.seated_at) > ended
    unharmed(emulator)


@pytest.mark.parametrize("profile", ["0.3.16", "0.4.0", "0.4.25", "design", "openai"])
def test_a_server_of_every_kind_answers(studio: Start, profile: str) -> None:
    emulator = studio(profile=profile, models=[SMALL])
    with engines():
        (answer,) = done(ask("maker/small"))
    assert (answer.attempts, answer.finish_reason) == (1, "stop")
    assert "penguin" in answer.text
    dialects = {"0.3.16": "lmstudio-v0", "design": "design", "openai": "openai"}
    assert Server.objects.get().detected == dialects.get(profile, "lmstudio-v1")
    assert count(emulator, "loading") == (0 if profile == "openai" else 1)
    unharmed(emulator)


@pytest.mark.parametrize("profile", ["0.3.16", "design"])
def test_an_older_kind_of_server_switches_models(studio: Start, profile: str) -> None:
    build.policy(min_residency_s=0)
    emulator = studio(profile=profile, models=["maker/one:8", "maker/two:8"], budget_gb=14)
    with engines():
        done(ask("maker/one"))
        done(ask("maker/two"))
    unharmed(emulator)


def test_a_200_for_an_unknown_route_is_not_taken_for_a_load(studio: Start) -> None:
    """LM Studio told to be spoken to in the design document's words answers 200 to everything and does nothing."""
    wrong = studio(profile="0.4.0", models=[SMALL], row={"dialect": "design", "weight": 9.0})
    right = studio(profile="0.4.0", models=[SMALL])
    with engines():
        online(2)
        (answer,) = done(ask("maker/small"))
    assert answer.server is not None
    assert answer.server.name == "studio-2"
    assert (count(wrong, "loading"), count(right, "loading")) == (0, 1)
    assert not Placement.objects.filter(server__name="studio-1", state__in=["loading", "loaded"]).exists()


def finish_loads(emulator: Studio, background: Background) -> None:
    """Let every load that goes on be done now."""
    for instance in list(emulator.work.machine.instances.values()):
        background.loop.call_soon_threadsafe(instance.ready.set)


def test_a_long_load_does_not_delay_another_model_and_is_used_when_it_is_done(studio: Start, background: Background) -> None:
    emulator = studio(models=[SMALL, MEDIUM], loaded=["maker/small"], load_seconds=600.0)
    with engines():
        (waiting,) = ask("maker/medium", priority=0)
        until(lambda: Placement.objects.filter(model__key="maker/medium", state="loading").exists(), what="the load")
        done(ask("maker/small", 12, priority=99))
        assert Placement.objects.get(model__key="maker/medium").state == "loading"
        row = Generation.objects.get(pk=waiting)
        assert (row.state, row.decision["waits"]) == ("queued", "maker/medium is loading on studio-1")
        finish_loads(emulator, background)
        done([waiting])
    assert count(emulator, "loading") == 1
    unharmed(emulator)


def test_a_load_that_outlives_its_request_is_polled_and_never_sent_again(studio: Start, background: Background) -> None:
    build.policy(load_timeout_s=0.3, load_poll_interval_s=0.05, max_load_attempts=10_000)
    emulator = studio(models=[SMALL, MEDIUM], loaded=["maker/small"], load_seconds=600.0)
    with engines():
        online()
        Offer.objects.update(load_seconds=0.1)  # the limit of a load grows with what is expected of it
        (waiting,) = ask("maker/medium")
        until(lambda: count(emulator, "loading") == 1, what="the load")
        asked = count(emulator, "requests")
        until(lambda: count(emulator, "requests") > asked + 6, what="looks at the list")
        done(ask("maker/small", 3))
        assert Placement.objects.get(model__key="maker/medium").state == "loading"
        finish_loads(emulator, background)
        done([waiting])
    assert count(emulator, "loading") == 1
    unharmed(emulator)


def test_what_somebody_loads_by_hand_is_used(studio: Start, background: Background) -> None:
    build.policy(reconcile_interval_s=0.2)
    emulator = studio(models=[SMALL])
    with engines():
        online()
        background.run(emulator.work.load(emulator.work.machine.models["maker/small"]))
        (adopted,) = loaded("maker/small")
        done(ask("maker/small", 2))
    assert adopted.adopted
    assert count(emulator, "loading") == 1
    unharmed(emulator)


def test_the_emulator_counts_what_these_tests_rely_on(studio: Start) -> None:
    """A model that is unloaded under a running answer is counted, so that a zero means something."""
    emulator = studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=1.0)
    with engines():
        ids = ask("maker/small")
        until(lambda: emulator.work.machine.running == 1, what="an answer")
        httpx.post(f"{emulator.url}/api/v1/models/unload", json={"instance_id": "maker/small"}, trust_env=False, verify=False)
        emulator.set(tokens_per_s=0.0)
        (answer,) = done(ids)
    assert count(emulator, "unloaded_while_serving") == 1
    assert [one["code"] for one in answer.tried] == ["model-unloaded"]
