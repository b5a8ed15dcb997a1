"""Equal requests at the same moment: one is asked for, and nobody waits for an answer that has been given already."""

from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction

from cluster import account, queue
from cluster.finish import finish
from cluster.lmstudio import errors
from cluster.logic.request import Request
from cluster.models import Generation, Share
from swwbot_site.lib import clock
from tests import build
from tests.build import OWNER
from tests.harness import until
from tests.races.hands import at_once
from tests.verbs.cluster.helpers import answered, refused

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = Request(messages=[{"role": "user", "content": "Hello?"}])


@pytest.fixture(autouse=True)
def on(settings: Any) -> None:
    settings.ENABLE_RESPONSE_CACHE = True


def asked(**over: Any) -> int:
    return queue.submit("maker/model", HELLO, **{"caller": "test", "now": clock.now()} | over)


def under_way() -> Any:
    """The seat of the one request, which is being answered."""
    row = Generation.objects.get(pk=asked())
    placement = build.placement(model=row.model)
    lease = {"lease_owner": OWNER, "lease_until": clock.now() + timedelta(seconds=30)}
    Generation.objects.filter(pk=row.pk).update(state="running", server=placement.server, placement=placement, **lease)
    return build.seat(generation=Generation.objects.get(pk=row.pk), placement=placement)


def blocked(n: int = 1) -> bool:
    """Whether so many connections wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
        return bool(cursor.fetchone()[0] >= n)


def test_of_many_at_one_moment_one_is_asked_for() -> None:
    build.model(key="maker/model")
    at_once(12, lambda n: asked(caller=f"caller-{n}"))
    leaders = Generation.objects.filter(leader=None)
    assert leaders.count() == 1
    assert Generation.objects.filter(leader=leaders.get()).count() == 11


@pytest.mark.parametrize("good", [True, False])
def test_a_request_that_comes_while_its_leader_ends_is_never_left_waiting_for_it(good: bool) -> None:
    build.policy(max_attempts=1)
    for _ in range(6):
        Generation.objects.update(request_hash="")
        seat = under_way()
        outcome = answered(seat) if good else refused(seat, errors.Dropped("cut"))
        ids = at_once(6, lambda n, outcome=outcome: finish([outcome], OWNER) if n == 0 else asked(caller=f"caller-{n}"))[1:]
        rows = list(Generation.objects.filter(pk__in=ids).select_related("leader"))
        assert len(rows) == 5
        if good:
            assert {row.state for row in rows} == {"done"}
        else:
            assert {row.state for row in rows} == {"queued"}
            assert all(row.leader is None or row.leader.state == "queued" for row in rows)
        Generation.objects.filter(state="queued").delete()
        seat.placement.delete()


def test_who_finds_its_leader_just_ending_waits_for_that_and_takes_the_stored_answer() -> None:
    seat, holding, go = under_way(), Event(), Event()

    def work(n: int) -> int:
        if n:
            assert holding.wait(60)
            return asked()
        with transaction.atomic():
            finish([answered(seat, "Just in time.")], OWNER)
            holding.set()
            assert go.wait(60)
        return 0

    def let(n: int) -> int:
        if n == 2:
            until(blocked, what="the wait for the lock")
            go.set()
            return 0
        return work(n)

    row = Generation.objects.get(pk=at_once(3, let)[1])
    assert (row.state, row.text, row.cached) == ("done", "Just in time.", True)


def test_an_answer_that_comes_while_a_follower_is_being_queued_reaches_it() -> None:
    seat, holding, go = under_way(), Event(), Event()

    def work(n: int) -> int:
        if n == 0:
            assert holding.wait(60)
            return finish([answered(seat, "For both.")], OWNER)
        if n == 2:
            until(blocked, what="the wait for the lock")
            go.set()
            return 0
        with transaction.atomic():
            pk = asked()
            holding.set()
            assert go.wait(60)
        return pk

    row = Generation.objects.get(pk=at_once(3, work)[1])
    assert (row.state, row.text) == ("done", "For both.")


def test_a_burst_over_many_connections_is_spread_as_over_one() -> None:
    build.model(key="maker/model")
    now = clock.now()
    at_once(8, lambda _: asked(now=now, cache=False))
    shares = Generation.objects.order_by("share_at").values_list("share_at", flat=True)
    assert [(share - now).total_seconds() for share in shares] == [n * account.cost(None, None) for n in range(8)]
    assert Share.objects.count() == 1


def test_no_charge_is_lost() -> None:
    now = clock.now()
    at_once(8, lambda _: account.charge("test", 5, now))
    assert Share.objects.get().charged_until == now + timedelta(seconds=40)
