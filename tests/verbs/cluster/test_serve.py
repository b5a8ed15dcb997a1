"""Leases of what is in flight: renewed, taken back, given back."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cluster import ahead, lease, serve
from cluster.ahead import Ahead
from cluster.logic.gathering import gathering
from cluster.logic.order import Orders
from cluster.models import Generation, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.leases import LEASE
from tests import build
from tests.build import OWNER
from tests.verbs.cluster.helpers import answered, running

pytestmark = pytest.mark.django_db


def test_an_engine_renews_what_it_has_in_hand_and_nothing_else() -> None:
    placement, later = build.placement(slots=9), clock.now() + timedelta(seconds=20)
    mine, forgotten = running(placement), running(placement)
    loading, other = build.placement(state="loading"), build.placement(state="loading")
    lease.renew(OWNER, [mine.generation_id], [loading.pk], later)
    renewed = {True: later + LEASE}
    assert {g.pk: g.lease_until == renewed[True] for g in Generation.objects.all()} == {
        mine.generation_id: True,
        forgotten.generation_id: False,
    }
    assert {s.pk: s.lease_until == renewed[True] for s in Seat.objects.all()} == {mine.pk: True, forgotten.pk: False}
    assert Placement.objects.get(pk=loading.pk).lease_until == renewed[True]
    assert Placement.objects.get(pk=other.pk).lease_until != renewed[True]


def test_nobody_renews_for_another() -> None:
    seat, before = running(), Generation.objects.values_list("lease_until", flat=True)
    old = list(before)
    lease.renew(999, [seat.generation_id], [], clock.now() + timedelta(seconds=20))
    assert list(Generation.objects.values_list("lease_until", flat=True)) == old


@pytest.mark.parametrize(
    ("seconds", "alive", "taken"),
    [
        (0, set(), 0),
        (3, set(), 0),
        (5, set(), 1),
        (5, {OWNER}, 0),
        (29, {OWNER}, 0),
        (31, {OWNER}, 1),
        (31, set(), 1),
    ],
)
def test_what_an_engine_had_in_flight_is_taken_back(seconds: float, alive: set[int], taken: int) -> None:
    running()
    assert lease.reap(clock.now() + timedelta(seconds=seconds), alive) == taken
    row = Generation.objects.get()
    assert row.state == ("queued" if taken else "running")
    assert row.attempts == 0
    assert Seat.objects.count() == 1 - taken


def test_servers_on_which_a_dead_engine_was_loading_are_looked_at() -> None:
    dead, alive = build.placement(state="loading"), build.placement(state="unloading", lease_owner=8, lease_until=clock.now() + LEASE)
    lease.reap(clock.now() + timedelta(seconds=5), {8})
    assert Server.objects.get(pk=dead.server_id).listed_at is None
    assert Server.objects.get(pk=alive.server_id).listed_at is not None


def test_a_stopping_engine_gives_back_what_it_has_not_finished() -> None:
    placement = build.placement(slots=9)
    unfinished, done = running(placement), running(placement)
    theirs = build.seat(placement=placement, lease_owner=8, generation=build.generation(state="running", lease_owner=8))
    loading = build.placement(state="loading")
    lease.release(OWNER, [unfinished.generation_id, theirs.generation_id])
    assert {g.pk: g.state for g in Generation.objects.all()} == {
        unfinished.generation_id: "queued",
        done.generation_id: "running",
        theirs.generation_id: "running",
    }
    loading.refresh_from_db()
    assert loading.state == "loading"
    assert loading.lease_until is not None
    assert loading.lease_until < clock.now()
    assert Server.objects.get(pk=loading.server_id).listed_at is None


def test_what_was_given_back_is_seated_again_at_once() -> None:
    seat = running()
    assert lease.give_back([seat.generation_id], "a test") == 1
    assert lease.give_back([seat.generation_id], "a test") == 0
    assert [t.generation_id for t in serve.reserve(8, 9, clock.now()).tickets] == [seat.generation_id]


def test_with_nothing_to_do_nothing_is_planned() -> None:
    build.placement()
    assert serve.reserve(OWNER, 9, clock.now()) == Orders()


def test_the_next_look_is_at_the_first_thing_that_has_a_time() -> None:
    now = clock.now()
    assert ahead.soonest(now) == Ahead(waits=False, at=None)
    build.server(listed_at=now)
    build.server(state="offline", listed_at=now, retry_at=now + timedelta(seconds=20))
    assert ahead.soonest(now).at == now + timedelta(seconds=20)
    build.generation(not_before=now - timedelta(seconds=5))
    build.generation(deadline=now + timedelta(seconds=9))
    assert ahead.soonest(now).at == now + timedelta(seconds=9)
    build.generation(not_before=now + timedelta(seconds=2))
    assert ahead.soonest(now).at == now + timedelta(seconds=2)


def test_a_plan_for_many_waiting_takes_no_more_statements_than_for_one(django_assert_max_num_queries: Any) -> None:
    model = build.model()
    for place in [build.placement(model=model, slots=10) for _ in range(4)]:
        build.offer(model=model, server=place.server)
    for _ in range(40):
        build.generation(model=model)
    serve.reserve(OWNER, 0, clock.now())  # the rates are counted now
    with django_assert_max_num_queries(8):
        assert len(serve.reserve(OWNER, 99, clock.now()).tickets) == 40


@pytest.mark.parametrize(("many", "seconds"), [(0, 0.0), (1, 0.0), (2, 0.002), (5, 0.008), (500, 0.015)])
def test_the_more_there_is_to_do_the_more_is_done_at_once_and_one_alone_does_not_wait(many: int, seconds: float) -> None:
    assert gathering(many) == pytest.approx(seconds)


@pytest.mark.parametrize(("capacity", "told"), [(0, False), (2, True), (9, False)])
def test_who_takes_all_it_can_wakes_the_others_and_nobody_else_does(capacity: int, told: bool) -> None:
    place = build.placement(slots=9)
    for _ in range(4):
        build.generation(model=place.model)
    with CaptureQueriesContext(connection) as said:
        serve.reserve(OWNER, capacity, clock.now())
    assert any("NOTIFY sww_serve" in query["sql"] for query in said) is told


@pytest.mark.parametrize("stopping", [False, True])
def test_an_engine_that_stops_tells_the_others_that_a_seat_is_free(stopping: bool) -> None:
    outcome = answered(running())
    with CaptureQueriesContext(connection) as said:
        serve.settle([outcome], OWNER, stopping=stopping)
    assert any("NOTIFY sww_serve" in query["sql"] for query in said) is stopping
    assert Generation.objects.get().state == "done"
