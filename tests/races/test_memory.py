"""The last gigabytes, in several hands at one moment."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from cluster import leave, ready, serve
from cluster.lmstudio import errors
from cluster.lmstudio.values import State
from cluster.logic.memory import headroom_gb
from cluster.models import Generation, LanguageModel, Placement, Seat, Server
from cluster.reconcile import reconcile
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import hookimpl, manager
from tests import build
from tests.harness import until
from tests.races.test_cluster import at_once
from tests.verbs.cluster.helpers import errand, listed, listing

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[[], Any]


def plan(owner: int) -> list[Any]:
    """What an engine reserves in a few rounds."""
    return [serve.reserve(owner, 100, clock.now()) for _ in range(3)]


def planning(n: int) -> list[Call]:
    return [lambda owner=owner: plan(owner) for owner in range(1, n + 1)]


def clear() -> None:
    for rows in (Seat, Generation, Placement, Server, LanguageModel):
        rows.objects.all().delete()


@pytest.mark.parametrize("workers", [2, 8])
def test_two_workers_never_both_take_the_last_30_gb(workers: int) -> None:
    for _ in range(4):
        server = build.server(budget_gb=100)  # 90 without the headroom
        build.placement(server=server, gb=60, pinned=True)
        for model in [build.model(size_gb=30) for _ in range(2)]:
            build.offer(server=server, model=model)
            build.generation(model=model)
        at_once(planning(workers))
        assert Placement.objects.filter(state="loading").count() == 1
        assert Placement.objects.aggregate(gb=Sum("gb"))["gb"] == 90
        clear()


def test_a_load_of_ours_and_one_that_somebody_began_by_hand_never_both_take_a_server() -> None:
    """Who comes second leaves it alone; nothing is refused by the database."""
    for n in range(6):
        server = build.server(budget_gb=100)
        mine, theirs = build.model(size_gb=30), build.model(size_gb=30, key=f"somebody/model-{n}")
        for model in (mine, theirs):
            build.offer(server=server, model=model)
        build.generation(model=mine)
        now, look = clock.now(), listing(listed(theirs.key, theirs.key, state=State.LOADING), listed(mine.key))
        looks: list[Call] = [lambda s=server, look=look, now=now: reconcile(s.pk, look, now, now)] * 2
        at_once([*looks, *planning(4)])
        assert Placement.objects.filter(state="loading").count() == 1
        assert Placement.objects.filter(state="failed").count() == 0
        clear()


def test_a_copy_is_either_unloaded_or_used() -> None:
    for _ in range(6):
        server, model, now = build.server(), build.model(), clock.now()
        build.offer(server=server, model=model)
        for n in range(1, 4):
            loaded_at = now - timedelta(minutes=9 - n)
            build.placement(server=server, model=model, slots=1, instance_id=f"{model.key}:{n}", loaded_at=loaded_at)
        for _ in range(2):
            build.generation(model=model)
        tidy: list[Call] = [lambda s=server, owner=owner: leave.duplicates(s.pk, owner, clock.now()) for owner in (11, 12, 13)]
        left = at_once([*tidy, *planning(4)])[: len(tidy)]
        leaving = [order.placement_id for orders in left for order in orders]
        assert len(leaving) == len(set(leaving)) == Placement.objects.filter(state="unloading").count()
        assert not Seat.objects.filter(placement__in=leaving).exists()
        assert Placement.objects.filter(state="loaded").count() >= Seat.objects.count() == 2
        clear()


class Between:
    """A plugin that does something once, when an engine has planned and not reserved yet."""

    def __init__(self, work: Call) -> None:
        self._work: Call | None = work

    @hookimpl
    def on_step(self, step: str) -> None:
        if step == "seat.before" and self._work:
            work, self._work = self._work, None
            beside(work).join(60)


def beside(work: Call) -> threading.Thread:
    """Do something on a connection of its own; returns when it is done, or when it waits for a lock."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1")
            return cursor.fetchone() is not None

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: not thread.is_alive() or waits(), what="the end, or a wait")
    return thread


def test_a_load_that_somebody_begins_between_plan_and_reservation_is_left_alone() -> None:
    server = build.server(budget_gb=100)
    mine = build.model(size_gb=30)
    before = clock.now()
    reconcile(server.pk, listing(listed(mine.key), listed("somebody/model")), before, before)
    build.generation(model=mine)
    look = listing(listed(mine.key), listed("somebody/model", "somebody/model", state=State.LOADING))
    plugin = Between(lambda: reconcile(server.pk, look, before, clock.now()))
    manager.register(plugin)
    try:
        orders = serve.reserve(1, 9, clock.now())
    finally:
        manager.unregister(plugin)
    assert orders.loads == ()
    assert [(p.adopted, p.state) for p in Placement.objects.all()] == [(True, "loading")]


def test_a_copy_that_has_just_been_given_a_seat_is_not_unloaded() -> None:
    build.policy()
    server, model, now = build.server(), build.model(), clock.now()
    build.offer(server=server, model=model)
    for n in (1, 2):
        build.placement(server=server, model=model, slots=1, instance_id=f"{model.key}:{n}", loaded_at=now - timedelta(minutes=n))
    for _ in range(2):
        build.generation(model=model)
    left: list[Any] = []
    with transaction.atomic():
        assert len(serve.reserve(1, 9, now).tickets) == 2
        tidy = beside(lambda: left.extend(leave.duplicates(server.pk, 2, clock.now())))
    tidy.join(60)
    assert left == []
    assert Placement.objects.filter(state="loaded").count() == Seat.objects.count() == 2


def test_failed_loads_looks_and_plans_never_wait_in_a_circle() -> None:
    """Each of them learns something of the same models: how much they need, what their files are, how often they are asked for."""
    servers = [build.server(budget_gb=200) for _ in range(4)]
    models = [build.model(size_gb=30, rate=1.0) for _ in range(4)]
    for server in servers:
        for model in models:
            build.offer(server=server, model=model)
            build.placement(server=server, model=model)
    for n in range(4):
        extra = build.model(size_gb=30)
        build.offer(server=servers[n], model=extra)
        failing = build.placement(server=servers[n], model=models[n - 1] if n % 2 else extra, state="loading")
        models.append(failing.model)
    for model in models:
        build.generation(model=model)

    def look(n: int) -> None:
        for turn in range(4):
            shown = [listed(m.key, m.key, size_bytes=(10 + (n + turn) % 3) * 2**30) for m in (models if n % 2 else models[::-1])]
            now = clock.now()
            reconcile(servers[n].pk, listing(*shown), now - timedelta(seconds=5), now)

    loads = list(Placement.objects.filter(state="loading").select_related("server", "model"))
    fail: list[Call] = [lambda p=p: ready.failed(errand(p), errors.OutOfMemory("no memory", needs_gb=40.0)) for p in loads]
    looks: list[Call] = [lambda n=n: look(n) for n in range(4)]
    at_once([*fail, *looks, *planning(4)])
    for server in servers:
        held = Placement.objects.filter(server=server, state="loading").aggregate(gb=Sum("gb"))["gb"] or 0
        assert held <= server.budget_gb - headroom_gb(server.budget_gb)
