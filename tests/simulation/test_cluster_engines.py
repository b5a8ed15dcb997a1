"""Several engines at one cluster, engines that stop, a database that goes away."""

import os
from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import connection

from cluster import serve
from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, Placement, Seat
from swwbot_site import postgres
from tests.harness import Running, engines, until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, unharmed

Start = Callable[..., Studio]


def test_two_engines_share_the_work_without_double_seats(studio: Start) -> None:
    emulators = [studio(models=[SMALL, MEDIUM], parallel=2, load_seconds=0.2, tokens_per_s=900.0) for _ in range(2)]
    with engines(2):
        answers = done([*ask("maker/small", 25), *ask("maker/medium", 25)])
    assert all(g.attempts == 1 for g in answers)
    assert sum(count(e, "answered") for e in emulators) == 50
    assert [count(e, "queued") for e in emulators] == [0, 0]
    assert 2 <= sum(count(e, "loading") for e in emulators) == Placement.objects.count() <= 4  # a second copy of each, at most
    assert not Seat.objects.exists()
    unharmed(*emulators)


def test_an_engine_that_stops_gives_back_what_it_cannot_finish(studio: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PATIENCE_S", 0.5)
    emulator = studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=1.0)
    first = Running("first")
    ids = ask("maker/small", 6)
    until(lambda: emulator.work.machine.running == 4, what="four answers under way")
    first._stop.set()
    until(lambda: not first._thread.is_alive(), what="the end of the engine")
    assert not Seat.objects.exists()
    assert {(g.state, g.attempts, g.lease_owner) for g in Generation.objects.all()} == {("queued", 0, None)}
    until(lambda: emulator.work.machine.running == 0, what="the end of what was asked")
    emulator.set(tokens_per_s=0.0)
    with engines():
        done(ids)


def test_a_load_that_a_stopped_engine_began_is_used_by_the_next(studio: Start) -> None:
    emulator = studio(models=[SMALL], load_seconds=600.0)
    first = Running("first")
    ids = ask("maker/small")
    until(lambda: count(emulator, "loading") == 1, what="the load")
    first.stop()
    with engines():
        for instance in emulator.work.machine.instances.values():
            instance.loaded = True
        done(ids)
    assert count(emulator, "loading") == 1
    assert Placement.objects.get().state == "loaded"


@pytest.mark.skipif(bool(os.environ.get("DATABASE_URL")), reason="somebody else's server is not restarted")
def test_a_restart_of_the_database_loses_nothing(studio: Start) -> None:
    emulators = [studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=60.0) for _ in range(2)]
    server = postgres.Server(var=settings.VAR_DIR, durable=False)
    with engines(2):
        ids = ask("maker/small", 20)
        until(lambda: sum(e.work.machine.running for e in emulators) > 0, what="answers under way")
        connection.close()
        server.stop()
        server.start()
        done([*ids, *ask("maker/small", 4)])
    assert not Seat.objects.exists()
    assert Generation.objects.count() == 24
