"""The design document's "Distributed Cluster Tests", case by case: describe('LM Studio Cluster').

Each test has the name of its case, and says in its docstring what the case means here.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, LanguageModel, Offer, Placement, Seat, Server
from swwbot_site.lib.wake import Channel, wake
from tests import build
from tests.harness import Background, engines, until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, loaded, online, release, unharmed

Start = Callable[..., Studio]
Write = Callable[..., None]


def servers(answers: list[Generation]) -> set[str]:
    return {g.server.name for g in answers if g.server}


# --- basic functionality -----------------------------------------------------------------------------------------
def test_connects_to_multiple_lm_studio_servers(studio: Start) -> None:
    """it('connects to multiple LM Studio servers'): of different versions, each in its own dialect, with what each has on its disk."""
    emulators = [studio(models=[SMALL], profile=profile) for profile in ("0.3.16", "0.4.0", "0.4.25")]
    with engines():
        online(3)
    dialects = dict(Server.objects.values_list("name", "detected"))
    assert dialects == {"studio-1": "lmstudio-v0", "studio-2": "lmstudio-v1", "studio-3": "lmstudio-v1"}
    assert Offer.objects.filter(model__key="maker/small").count() == 3
    assert LanguageModel.objects.count() == 1
    unharmed(*emulators)


def test_detects_server_availability_correctly(studio: Start, background: Background) -> None:
    """it('detects server availability correctly'): one is there, one is off, one refuses us, and each says why."""
    studio(models=[SMALL])
    background.run(studio(models=[SMALL]).stop())
    studio(models=[SMALL], auth=True, token="sk-right", row={"token": "sk-wrong"})
    with engines():
        expected = {"studio-1": "online", "studio-2": "offline", "studio-3": "misconfigured"}
        until(lambda: dict(Server.objects.values_list("name", "state")) == expected, what="three states")
    assert Server.objects.get(name="studio-1").state_reason == ""
    assert all(Server.objects.exclude(name="studio-1").values_list("state_reason", flat=True))


def test_routes_requests_to_available_servers(studio: Start, background: Background) -> None:
    """it('routes requests to available servers'): no request is spent on a server that is known to be away."""
    off = studio(models=[SMALL], loaded=["maker/small"], row={"weight": 9.0})
    studio(models=[SMALL], loaded=["maker/small"])
    studio(models=[SMALL], loaded=["maker/small"])
    background.run(off.stop())
    with engines():
        until(lambda: Server.objects.get(name="studio-1").state == "offline", what="detection")
        online(2)
        answers = done(ask("maker/small", 12))
    assert servers(answers) == {"studio-2", "studio-3"}
    assert {(g.attempts, len(g.tried)) for g in answers} == {(1, 0)}
    assert count(off, "requests") == 0


# --- model management --------------------------------------------------------------------------------------------
def test_loads_models_dynamically_on_demand(studio: Start) -> None:
    """it('loads models dynamically on demand'): nothing is loaded before somebody asks, then each model once."""
    build.policy(preload=False)
    emulator = studio(models=[SMALL, MEDIUM])
    with engines():
        online()
        assert count(emulator, "loading") == 0
        done([*ask("maker/small", 4), *ask("maker/medium", 4)])
    assert count(emulator, "loading") == 2
    assert set(Placement.objects.values_list("model__key", "state")) == {("maker/small", "loaded"), ("maker/medium", "loaded")}
    unharmed(emulator)


def test_reuses_already_loaded_models_efficiently(studio: Start) -> None:
    """it('reuses already-loaded models efficiently'): what somebody loaded before us, and what we loaded, serves on without a load."""
    build.policy(preload=False)
    emulator = studio(models=[SMALL, MEDIUM], loaded=["maker/small"])
    with engines():
        for _ in range(3):
            done([*ask("maker/small", 3), *ask("maker/medium", 3)])
    assert count(emulator, "loading") == 1
    assert count(emulator, "unloaded") == 0
    assert set(Placement.objects.values_list("model__key", "adopted")) == {("maker/small", True), ("maker/medium", False)}
    unharmed(emulator)


def test_unloads_models_when_switching(studio: Start) -> None:
    """it('unloads models when switching'): where only one fits, the idle one goes before the other comes, and the memory is kept."""
    build.policy(min_residency_s=0)
    emulator = studio(models=["maker/one:8", "maker/two:8"], budget_gb=14)
    with engines():
        for model in ("maker/one", "maker/two", "maker/one"):
            done(ask(model, 2))
    assert (count(emulator, "loaded"), count(emulator, "unloaded")) == (3, 2)
    assert Placement.objects.filter(state="loaded").count() == 1
    unharmed(emulator)


def test_handles_model_loading_failures_gracefully(studio: Start) -> None:
    """it('handles model loading failures gracefully'): the load happens elsewhere, the failure is kept, nobody who asked notices."""
    bad = studio(models=[SMALL], load_error="sigabrt", row={"weight": 9.0})
    good = studio(models=[SMALL])
    with engines():
        online(2)
        answers = done(ask("maker/small", 5))
    assert servers(answers) == {"studio-2"}
    assert {g.attempts for g in answers} == {1}
    failed = Placement.objects.get(server__name="studio-1", state="failed")
    assert failed.reason
    assert count(bad, "loaded") == 0
    unharmed(good)


# --- load balancing ----------------------------------------------------------------------------------------------
def test_distributes_load_across_servers(studio: Start) -> None:
    """it('distributes load across servers'): equal servers get about equal shares, and none more at once than it answers."""
    emulators = [studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=900.0) for _ in range(3)]
    with engines():
        online(3)
        loaded("maker/small", 3)
        answers = done(ask("maker/small", 90))
    shares = Counter(g.server.name for g in answers if g.server)
    assert len(shares) == 3
    assert min(shares.values()) >= 15, shares
    assert [count(e, "queued") for e in emulators] == [0, 0, 0]


def test_prefers_servers_with_model_already_loaded(studio: Start) -> None:
    """it('prefers servers with model already loaded'): even to a server that is said to be much better, but would have to load."""
    cold, warm = studio(models=[SMALL], load_seconds=5.0, row={"weight": 3.0}), studio(models=[SMALL], loaded=["maker/small"])
    with engines():
        online(2)
        loaded("maker/small")
        assert servers(done(ask("maker/small", 4))) == {"studio-2"}
    assert (count(cold, "loading"), count(warm, "loading")) == (0, 0)


def test_queues_requests_when_all_servers_busy(studio: Start, background: Background) -> None:
    """it('queues requests when all servers busy'): what has no slot waits with us and not with the servers, and the urgent goes first."""
    emulators = [studio(models=[SMALL], loaded=["maker/small"], parallel=2, first_token_s=3600.0) for _ in range(2)]
    with engines():
        online(2)
        loaded("maker/small", 2)
        first = ask("maker/small", 4)
        until(lambda: sum(e.work.machine.running for e in emulators) == 4, what="four answers under way")
        late, urgent = ask("maker/small", 4, priority=90), ask("maker/small", 4, priority=1)
        until(lambda: Generation.objects.filter(pk__in=[*late, *urgent], decision__has_key="waits").count() == 8, what="eight who wait")
        assert Seat.objects.count() == 4
        release(background, *emulators)
        done([*first, *late, *urgent])
    seated = {g.pk: g.seated_at for g in Generation.objects.all() if g.seated_at}
    assert max(seated[pk] for pk in urgent) <= min(seated[pk] for pk in late)
    assert [count(e, "queued") for e in emulators] == [0, 0]


# --- failover ----------------------------------------------------------------------------------------------------
def test_detects_server_offline_status(studio: Start, background: Background) -> None:
    """it('detects server offline status'): by the requests themselves, without a health monitor."""
    build.policy(monitor=False, breaker_pause_s=60, reconcile_interval_s=3600)
    emulator = studio(models=[SMALL], loaded=["maker/small"])
    with engines():
        done(ask("maker/small"))
        background.run(emulator.stop())
        (waiting,) = ask("maker/small")
        until(lambda: Server.objects.get().state == "offline", what="detection")
        assert Server.objects.get().state_reason
        assert Generation.objects.get(pk=waiting).state == "queued"
    assert not Seat.objects.exists()


def test_redistributes_requests_on_server_failure(studio: Start, background: Background) -> None:
    """it('redistributes requests on server failure'): what it was answering, and what was to come, goes to the others."""
    build.policy(breaker_pause_s=60)
    dying = studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=1.0, row={"weight": 9.0})
    others = [studio(models=[SMALL], loaded=["maker/small"]) for _ in range(2)]
    with engines():
        online(3)
        loaded("maker/small", 3)
        ids = ask("maker/small", 3)
        until(lambda: dying.work.machine.running > 0, what="answers under way")
        background.run(dying.stop())
        answers = done([*ids, *ask("maker/small", 8)])
    assert servers(answers) <= {"studio-2", "studio-3"}
    assert sum(count(e, "answered") for e in others) == 11
    assert not Seat.objects.exists()


def test_reconnects_when_server_comes_back_online(studio: Start, background: Background) -> None:
    """it('reconnects when server comes back online'): it is found again, its memory is looked at anew, and it works."""
    build.policy(breaker_pause_s=0.2)
    emulator = studio(models=[SMALL], loaded=["maker/small"])
    with engines():
        done(ask("maker/small"))
        background.run(emulator.stop())
        ids = ask("maker/small", 3)
        until(lambda: Server.objects.get().state == "offline", what="detection")
        background.run(emulator.start())
        online()
        done(ids)
    assert Placement.objects.filter(state="loaded").count() == 1
    assert count(emulator, "loading") == 1
    unharmed(emulator)


# --- dynamic scaling ---------------------------------------------------------------------------------------------
@pytest.fixture
def machine(background: Background) -> Iterator[Callable[..., Studio]]:
    """Starts an emulated server that no row knows of."""
    started: list[Studio] = []

    def start(**habits: Any) -> Studio:
        started.append(Studio(**({"models": [SMALL]} | habits)))
        background.run(started[-1].start())
        return started[-1]

    yield start
    for emulator in started:
        background.run(emulator.stop())


@pytest.fixture
def config(tmp_path: Path, settings: Settings, transactional_db: None) -> Write:
    """Writes the configuration that the engines watch; each server is (emulator, enabled)."""
    path = tmp_path / "config-aientities.json"
    settings.CONFIG = str(path)

    def write(*servers: tuple[Studio, bool], **more: object) -> None:
        listed = [
            {"name": f"Mac {n}", "ip": "127.0.0.1", "port": one.port, "enabled": enabled, "capabilities": {"maxMemory": 40}}
            for n, (one, enabled) in enumerate(servers, 1)
        ]
        draft = tmp_path / "draft"
        draft.write_text(json.dumps({"lmStudioServers": listed, **more}))
        draft.rename(path)
        wake(Channel.SETTINGS)

    return write


def test_adds_new_servers_from_config_without_restart(machine: Start, config: Write) -> None:
    """it('adds new servers from config without restart'): an entry more in the file, and the running engine uses it."""
    first, second = machine(models=[SMALL]), machine(models=[MEDIUM])
    config((first, True))
    with engines():
        online(1)
        done(ask("maker/small", 2))
        config((first, True), (second, True))
        online(2)
        assert servers(done(ask("maker/medium", 2))) == {"Mac 2"}
    assert count(second, "answered") == 2


def test_removes_disabled_servers_from_pool(machine: Start, config: Write, background: Background) -> None:
    """it('removes disabled servers from pool'): it finishes what it has and gets nothing more, neither answers nor looks."""
    first, second = machine(loaded=["maker/small"], first_token_s=3600.0), machine()
    config((first, True))
    with engines():
        online(1)
        (begun,) = ask("maker/small")
        until(lambda: first.work.machine.running == 1, what="an answer under way")
        config((first, False), (second, True))
        until(lambda: not Server.objects.get(name="Mac 1").enabled, what="the change")
        assert servers(done(ask("maker/small", 4))) == {"Mac 2"}
        assert Generation.objects.get(pk=begun).state == "running"
        release(background, first)
        done([begun])
        asked = count(first, "requests")
        done(ask("maker/small", 4))
    assert count(first, "requests") == asked


def test_handles_config_reloads_smoothly(machine: Start, config: Write) -> None:
    """it('handles config reloads smoothly'): reloads while it works, a broken one among them, disturb no answer and load nothing anew."""
    first, second = machine(tokens_per_s=200.0), machine(tokens_per_s=200.0)
    config((first, True), (second, True))
    with engines():
        online(2)
        ids = ask("maker/small", 10)
        until(lambda: first.work.machine.running + second.work.machine.running > 0, what="answers under way")
        config((first, True), (second, True), clusterSettings={"maxRetries": 5, "loadBalancingStrategy": "round-robin"})
        ids += ask("maker/small", 10)
        config((first, True), (second, True), clusterSettings={"maxRetries": "many"})
        ids += ask("maker/small", 10)
        config((first, True), (second, True), clusterSettings={"maxRetries": 2, "loadBalancingStrategy": "least-loaded"})
        answers = done(ids)
        until(lambda: build.policy().strategy == "least-loaded", what="the last settings")
    assert {g.attempts for g in answers} == {1}
    assert build.policy().max_attempts == 3
    assert max(count(first, "loading"), count(second, "loading")) <= 1
    unharmed(first, second)
