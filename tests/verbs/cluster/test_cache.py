"""Equal requests that wait at the same time: one is asked for, the others follow it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cluster import cache, lease, plan, queue
from cluster.finish import finish
from cluster.lmstudio import errors
from cluster.logic.request import Request
from cluster.models import Generation, LanguageModel, Placement
from swwbot_site.lib import clock
from swwbot_site.lib.leases import FREE
from tests import build
from tests.build import OWNER
from tests.harness import engines, until
from tests.verbs.cluster.helpers import answered, refused, running

pytestmark = pytest.mark.django_db

HELLO = Request(messages=[{"role": "user", "content": "Hello?"}])


@pytest.fixture(autouse=True)
def on(settings: Any) -> None:
    settings.ENABLE_RESPONSE_CACHE = True


def asked(**over: Any) -> Generation:
    return Generation.objects.get(pk=queue.submit("maker/model", HELLO, **{"caller": "test", "now": clock.now()} | over))


def again(row: Generation) -> Generation:
    return Generation.objects.get(pk=row.pk)


def under_way(row: Generation) -> Any:
    """The seat of a generation that is being answered."""
    placement = Placement.objects.filter(model=row.model).first() or build.placement(model=row.model)
    held = {"state": "running", "lease_owner": OWNER, "lease_until": clock.now() + timedelta(seconds=30)}
    Generation.objects.filter(pk=row.pk).update(**held, server=placement.server, placement=placement, seated_at=clock.now())
    return build.seat(generation=again(row), placement=placement)


@pytest.mark.parametrize("is_running", [False, True])
def test_an_equal_request_follows_the_one_that_waits_or_runs(is_running: bool) -> None:
    first = asked()
    if is_running:
        under_way(first)
    second, third = asked(), asked(caller="another")
    assert (second.state, second.leader, third.leader) == ("queued", first, first)
    assert second.decision == {"waits": f"generation {first.pk} asks for the same answer"}
    assert sum(need.waiting for need in plan.demand(clock.now())) == (0 if is_running else 1)


def test_everybody_gets_the_answer_in_the_transaction_that_stores_it() -> None:
    first, second, third = asked(), asked(), asked(caller="another")
    other = build.generation(model=first.model)
    finish([answered(under_way(first), "Hi there.")], OWNER)
    for row in (again(second), again(third)):
        assert (row.state, row.text, row.cached, row.completion_tokens, row.server) == ("done", "Hi there.", True, 30, None)
        assert row.decision == {"why": f"the same request was answered by generation {first.pk}"}
        assert row.ended_at is not None
        assert row.ended_at >= row.queued_at
    assert again(other).state == "queued"


def test_a_failed_request_frees_its_followers_and_a_later_attempt_does_not() -> None:
    build.policy(max_attempts=2)
    first, second, third = asked(), asked(), asked()
    finish([refused(under_way(first), errors.Dropped("it hung up"))], OWNER)
    assert (again(first).state, again(second).leader) == ("queued", first)
    Generation.objects.filter(pk=first.pk).update(attempts=1)
    finish([refused(under_way(first), errors.Dropped("it hung up"))], OWNER)
    assert again(first).state == "failed"
    assert [(again(row).state, again(row).leader, again(row).decision) for row in (second, third)] == [("queued", None, {})] * 2


def test_an_empty_answer_serves_nobody_else() -> None:
    first, second = asked(), asked()
    finish([answered(under_way(first), "")], OWNER)
    assert (again(first).state, again(second).state, again(second).leader) == ("done", "queued", None)


def test_when_the_leader_is_called_off_the_first_follower_takes_its_place() -> None:
    first, late, early = asked(), asked(priority=60), asked(priority=40)
    queue.cancel(first.pk, clock.now(), "never mind")
    assert (again(early).leader, again(late).leader) == (None, early)
    assert again(late).decision == {"waits": f"generation {early.pk} asks for the same answer"}


def test_when_the_leader_is_too_late_its_followers_are_not() -> None:
    now = clock.now()
    first, second = asked(deadline=now + timedelta(seconds=1)), asked(deadline=now + timedelta(minutes=1))
    assert queue.expire(now + timedelta(seconds=2)) == 1
    assert (again(first).state, again(second).state, again(second).leader) == ("expired", "queued", None)


def test_a_follower_ends_alone() -> None:
    now = clock.now()
    first, late, unwanted = asked(), asked(deadline=now + timedelta(seconds=1)), asked()
    queue.expire(now + timedelta(seconds=2))
    queue.cancel(unwanted.pk, now, "never mind")
    assert [again(row).state for row in (first, late, unwanted)] == ["queued", "expired", "cancelled"]
    finish([answered(under_way(first))], OWNER)
    assert [again(row).state for row in (first, late, unwanted)] == ["done", "expired", "cancelled"]


def test_a_follower_of_an_earlier_turn_brings_its_leader_forward_and_one_of_a_later_turn_does_not() -> None:
    now = clock.now()
    first = asked(priority=90, now=now)
    urgent = asked(priority=0, now=now, caller="another")
    assert again(first).turn_at == urgent.turn_at < first.turn_at
    asked(priority=99, now=now, caller="a third")
    assert again(first).turn_at == urgent.turn_at


def test_followers_cost_their_caller_nothing() -> None:
    now = clock.now()
    asked(now=now, caller="another")
    assert [asked(now=now).share_at for _ in range(3)] == [now] * 3
    assert asked(now=now, cache=False).share_at == now


NO_LEADER: dict[str, dict[str, Any]] = {
    "it has ended": {"state": "failed", "ended_at": clock.now()},
    "it asks something else": {"request_hash": "another"},
    "it shares nothing": {"request_hash": ""},
}


@pytest.mark.parametrize("values", NO_LEADER.values(), ids=NO_LEADER.keys())
def test_nobody_is_followed_if(values: dict[str, Any]) -> None:
    Generation.objects.filter(pk=asked().pk).update(**values)
    assert asked().leader is None


@pytest.mark.parametrize(("mine", "theirs"), [("mac-1", ""), ("", "mac-1"), ("mac-1", "mac-2")])
def test_nobody_is_followed_to_another_server(mine: str, theirs: str) -> None:
    for name in ("mac-1", "mac-2"):
        build.server(name=name)
    asked(pin=theirs)
    assert asked(pin=mine).leader is None


def test_nobody_follows_who_shares_nothing_or_with_the_switch_off_or_with_no_cache_for_the_model(settings: Any) -> None:
    asked()
    assert asked(cache=False).leader is None
    LanguageModel.objects.update(cache_ttl_s=0)
    assert asked().leader is None
    LanguageModel.objects.update(cache_ttl_s=None)
    settings.ENABLE_RESPONSE_CACHE = False
    assert asked().leader is None


def test_followers_have_one_leader_not_a_chain() -> None:
    first = asked()
    assert {asked().leader for _ in range(3)} == {first}


def test_what_a_leaders_end_was_not_told_is_found_by_the_next_look() -> None:
    first, second = asked(), asked()
    Generation.objects.filter(pk=first.pk).update(state="failed", ended_at=clock.now(), **FREE)
    lease.reap(clock.now(), frozenset())
    assert again(second).leader is None


def test_a_leader_whose_engine_died_keeps_its_followers() -> None:
    first, second = asked(), asked()
    under_way(first)
    lease.reap(clock.now() + timedelta(minutes=1), frozenset())
    assert (again(first).state, again(second).leader) == ("queued", first)


def test_a_deleted_leader_leaves_nobody_waiting_for_it() -> None:
    first, second = asked(), asked()
    first.delete()
    assert again(second).leader is None


def test_settling_twice_is_settling_once() -> None:
    seat = running()
    build.generation(model=seat.generation.model, leader=seat.generation)
    finish([answered(seat)], OWNER)
    assert cache.settle(clock.now()) == 0


@pytest.mark.django_db(transaction=True)
def test_twenty_equal_requests_are_one_to_the_server(studio: Callable[..., Any]) -> None:
    studio(models=["maker/model:4"], loaded=["maker/model"])
    ids = [asked(caller=f"caller-{n}").pk for n in range(20)]
    with engines():
        until(lambda: Generation.objects.filter(pk__in=ids, state="done").count() == 20, what="the answers")
    rows = list(Generation.objects.filter(pk__in=ids))
    assert len({row.text for row in rows}) == 1
    assert sum(row.asked_at is not None for row in rows) == 1
    assert sum(row.cached for row in rows) == 19
