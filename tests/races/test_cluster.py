"""Several engines at the same rows at the same moment: real connections, started by one barrier."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from cluster import finish, lease, probe, queue, serve
from cluster.lmstudio import errors
from cluster.logic.memory import headroom_gb
from cluster.models import Generation, LanguageModel, Placement, Seat, Server
from cluster.reconcile import reconcile
from swwbot_site.lib import clock
from swwbot_site.lib.leases import SPACE
from tests import build
from tests.build import OWNER
from tests.verbs.cluster.helpers import answered, listed, listing, refused, running

pytestmark = pytest.mark.django_db(transaction=True)

ENGINES = 8


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run all calls in threads with connections of their own, from one moment on. Raises what the first of them raised."""
    barrier, results, wrong = threading.Barrier(len(calls)), [None] * len(calls), []

    def one(n: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(60)
            results[n] = calls[n]()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test's own thread
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if wrong:
        raise wrong[0]
    return results


def planners(n: int, capacity: int = 100, rounds: int = 3) -> list[Any]:
    """What `n` engines reserve at once, each several times."""

    def plan(owner: int) -> list[Any]:
        return [serve.reserve(owner, capacity, clock.now()) for _ in range(rounds)]

    return [orders for some in at_once([lambda owner=owner: plan(owner) for owner in range(1, n + 1)]) for orders in some]


@pytest.mark.parametrize("engines", [2, ENGINES])
def test_no_slot_is_given_twice(engines: int) -> None:
    model = build.model()
    places = [build.placement(model=model, slots=3) for _ in range(4)]
    for n in range(40):
        build.generation(model=model, priority=n % 5)
    tickets = [ticket for orders in planners(engines) for ticket in orders.tickets]
    assert len({t.generation_id for t in tickets}) == len(tickets) == 12
    assert Counter(t.placement_id for t in tickets) == {p.pk: 3 for p in places}
    assert Generation.objects.filter(state="running").count() == Seat.objects.count() == 12
    owners = dict(Generation.objects.filter(state="running").values_list("pk", "lease_owner"))
    assert owners == dict(Seat.objects.values_list("generation_id", "lease_owner"))


@pytest.mark.parametrize("engines", [2, ENGINES])
def test_no_model_is_loaded_twice_and_no_server_gets_more_than_its_budget(engines: int) -> None:
    servers = [build.server(budget_gb=50) for _ in range(3)]
    models = [build.model(size_gb=20) for _ in range(6)]
    for model in models:
        for server in servers:
            build.offer(server=server, model=model)
        build.generation(model=model)
        build.generation(model=model, pin=servers[0] if model is models[0] else None)
    loads = [errand for orders in planners(engines) for errand in orders.loads]
    assert len(loads) == len({e.server_id for e in loads}) == len({e.key for e in loads}) == 3
    for server in Server.objects.all():
        held = Placement.objects.filter(server=server).aggregate(gb=Sum("gb"))["gb"]
        assert held <= server.budget_gb - headroom_gb(server.budget_gb)


def test_loads_that_finish_at_once_leave_room_for_no_more_than_the_budget() -> None:
    """Every planner reserves, confirms what it loads, and reserves again."""
    server = build.server(budget_gb=50)
    for model in [build.model(size_gb=20) for _ in range(5)]:
        build.offer(server=server, model=model)
        build.generation(model=model)

    def work(owner: int) -> int:
        done = 0
        for _ in range(6):
            for errand in serve.reserve(owner, 0, clock.now()).loads:
                moved = Placement.objects.filter(pk=errand.placement_id, state="loading", lease_owner=owner)
                done += moved.update(state="loaded", instance_id=errand.key, lease_owner=None, lease_until=None, pinned=True)
        return done

    assert sum(at_once([lambda owner=owner: work(owner) for owner in range(1, ENGINES + 1)])) == 2
    assert Placement.objects.aggregate(gb=Sum("gb"))["gb"] == 40


def test_one_victim_leaves_once() -> None:
    server, old = build.server(budget_gb=40), clock.now() - timedelta(hours=1)
    build.placement(server=server, loaded_at=old, used_at=old)
    for model in [build.model(size_gb=30) for _ in range(2)]:
        build.offer(server=server, model=model)
        build.generation(model=model)
    orders = planners(ENGINES)
    assert sum(len(o.unloads) for o in orders) == 1
    assert sum(len(o.loads) for o in orders) == 0


def test_a_placement_is_either_used_or_evicted() -> None:
    """One demand wants the idle model itself, the other its memory; they come while engines plan."""
    server, old = build.server(budget_gb=40), clock.now() - timedelta(hours=1)
    for _ in range(10):
        place = build.placement(server=server, loaded_at=old, used_at=old)
        offer = build.offer(server=server, model=build.model(size_gb=30))
        calls: list[Callable[[], Any]] = [lambda m=m: build.generation(model=m) for m in (place.model, offer.model)]
        at_once([*calls, *[lambda owner=owner: serve.reserve(owner, 9, clock.now()) for owner in range(1, 5)]])
        serve.reserve(5, 9, clock.now())
        place.refresh_from_db()
        assert place.state == ("loaded" if place.seats.exists() else "unloading")
        for rows in (Seat, Generation, Placement):
            rows.objects.all().delete()


def test_finish_and_reap_of_the_same_request_settle_it_once() -> None:
    placement = build.placement(slots=50)
    seats = [running(placement) for _ in range(24)]
    outcomes = [answered(s) if n % 2 else refused(s, errors.Dropped("cut")) for n, s in enumerate(seats)]
    later = clock.now() + timedelta(minutes=2)
    results = at_once(
        [
            *[lambda part=part: ("finish", finish.finish(outcomes[part::4], OWNER)) for part in range(4)],
            *[lambda: ("reap", lease.reap(later, set())) for _ in range(4)],
        ]
    )
    settled = sum(n for what, n in results if what == "finish")
    reaped = sum(n for what, n in results if what == "reap")
    assert settled + reaped == 24
    rows = list(Generation.objects.all())
    assert not Seat.objects.exists()
    assert {g.state for g in rows} <= {"queued", "done"}
    assert all(g.lease_owner is None for g in rows)
    assert sum(g.attempts for g in rows) == settled


def test_engines_that_finish_and_plan_at_once_never_wait_in_a_circle() -> None:
    places = [build.placement(slots=50) for _ in range(4)]
    for place in places:
        build.offer(server=place.server, model=place.model)
    outcomes: list[list[Any]] = [[] for _ in range(ENGINES)]
    gone, slow = errors.ModelUnloaded("Model unloaded."), errors.IdleTimeout("silence")
    for n in range(ENGINES):
        for place in places if n % 2 else places[::-1]:
            one = running(place)
            outcomes[n].append(answered(one) if n % 3 == 0 else refused(one, gone if n % 3 == 1 else slow))
    for place in places:
        for _ in range(5):
            build.generation(model=place.model)

    def work(n: int) -> int:
        serve.reserve(n + 1, 9, clock.now())
        done = finish.finish(outcomes[n], OWNER)
        serve.reserve(n + 1, 9, clock.now())
        return done

    assert at_once([lambda n=n: work(n) for n in range(ENGINES)]) == [4] * ENGINES


def test_a_request_is_called_off_or_seated_or_finished_once() -> None:
    placement, now = build.placement(slots=50), clock.now()
    seats = [running(placement) for _ in range(10)]
    waiting = [build.generation(model=placement.model) for _ in range(10)]
    outcomes = [answered(s) for s in seats]
    off: list[Callable[[], Any]] = [lambda pk=g.pk: queue.cancel(pk, now, "never mind") for g in (*[s.generation for s in seats], *waiting)]
    results = at_once([*off, lambda: finish.finish(outcomes, OWNER), lambda: serve.reserve(2, 50, clock.now())])
    finished = results[-2]
    states = Counter(Generation.objects.values_list("state", flat=True))
    assert sum(results[:20]) == states["cancelled"]
    assert finished == states["done"]
    assert states["cancelled"] + states["done"] == 20
    assert not Seat.objects.exists()


def test_a_server_is_looked_at_by_one_of_many() -> None:
    for _ in range(5):
        build.server(listed_at=None)

    def look(owner: int) -> int:
        with connection.cursor() as cursor:  # this engine lives as long as its connection
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, owner])
        meet.wait(60)
        found = len(probe.due(owner, clock.now()))
        meet.wait(60)
        return found

    meet = threading.Barrier(ENGINES)
    assert sum(at_once([lambda owner=owner: look(owner) for owner in range(1, ENGINES + 1)])) == 5


def test_a_model_that_many_see_first_is_one_model() -> None:
    servers, now = [build.server() for _ in range(ENGINES)], clock.now()
    look = listing(listed("Maker/Model", "Maker/Model"), listed("maker/other@q4"))
    looks: list[Callable[[], Any]] = [lambda s=s: reconcile(s.pk, look, now, now) for s in servers]
    at_once([*looks, *[lambda: queue.resolve("maker/model") for _ in range(4)]])
    assert sorted(LanguageModel.objects.values_list("key", flat=True)) == ["maker/model", "maker/other@q4"]
    assert Placement.objects.filter(model__key="maker/model", state="loaded").count() == ENGINES


def test_two_looks_at_one_server_adopt_once() -> None:
    server, now = build.server(), clock.now()
    look = listing(listed("maker/model", "maker/model"))
    at_once([lambda: reconcile(server.pk, look, now, now) for _ in range(4)])
    assert Placement.objects.count() == 1
