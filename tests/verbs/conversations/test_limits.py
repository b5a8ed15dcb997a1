"""Limits in deciding: who waits, who is dropped, who is admitted later, and when it is too late."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cluster.models import Generation
from conversations import cycle
from conversations.models import Message, Reply
from entities import spend
from entities.models import Entity, Permit
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked() -> Callable[..., Entity]:
    """A persona with one post a minute, and messages that call it."""

    def ask(n: int, text: str = "Ping?", **over: object) -> Entity:
        who = build.entity(**{"slug": "ping", "username": "Ping", "model": "maker/small", "response_chance": 0.0} | over)
        build.limit(entity=who, kind="minute", amount=1)
        feed = build.feed()
        for _ in range(n):
            build.message(feed=feed, text=text)
        cycle.judge(clock.now())
        return who

    return ask


@pytest.mark.django_db(transaction=True)
def test_who_is_asked_beyond_its_limit_waits_and_says_so(asked: Callable[..., Entity]) -> None:
    asked(2)
    first, second = Reply.objects.order_by("id")
    assert first.generation is not None
    assert (second.generation, second.permit, second.state) == (None, None, "waiting")
    assert second.prepared is not None
    assert second.permit_at is not None
    assert Event.objects.get(kind="reply.waits").text == "Ping waits with its answer: limit reached: 1 a minute"


def test_who_would_drop_is_dropped_with_the_reason(asked: Callable[..., Entity]) -> None:
    asked(2, when_limited="drop")
    assert Reply.objects.count() == 1
    told = Message.objects.order_by("-id")[0].verdict
    assert (told["yes"], told["no"]) == ([], {"ping": "limit reached: 1 a minute"})


def test_chance_never_waits(asked: Callable[..., Entity]) -> None:
    asked(2, text="Nice weather.", response_chance=1.0)
    assert Reply.objects.count() == 1


def test_who_waits_is_admitted_when_the_limit_allows_with_the_request_of_the_decision(asked: Callable[..., Entity]) -> None:
    asked(2)
    now = clock.now()
    first, second = Reply.objects.order_by("id")
    frozen = second.prepared
    assert cycle.admit(now + timedelta(seconds=2)) == 0
    assert first.permit_id is not None
    spend.spend(first.permit_id, now)
    assert cycle.admit(now + timedelta(seconds=4)) == 0
    second.refresh_from_db()
    assert second.permit_at == now + timedelta(seconds=60)
    assert cycle.admit(now + timedelta(seconds=59)) == 0
    assert cycle.admit(now + timedelta(seconds=60)) == 1
    second.refresh_from_db()
    assert second.generation is not None
    assert second.permit is not None
    assert second.generation.request == frozen["request"]
    assert (second.prepared, second.permit_at) == (None, None)
    assert second.generation.deadline == second.deadline


def test_a_refund_frees_the_place(asked: Callable[..., Entity]) -> None:
    asked(2)
    first = Reply.objects.order_by("id")[0]
    assert first.permit_id is not None
    assert spend.refund(first.permit_id, clock.now())
    assert not spend.refund(first.permit_id, clock.now())
    assert not spend.spend(first.permit_id, clock.now())
    assert cycle.admit(clock.now() + timedelta(seconds=2)) == 1


def test_who_waited_too_long_is_dropped(asked: Callable[..., Entity]) -> None:
    asked(2)
    late = clock.now() + timedelta(seconds=301)
    assert cycle.admit(late) == 0
    second = Reply.objects.order_by("id")[1]
    assert (second.state, second.reason, second.prepared) == ("dropped", "its limits refused it until it was too late", None)
    assert cycle.admit(late) == 0
    assert Generation.objects.count() == 1


def test_common_limits_count_everybody() -> None:
    build.limit(entity=None, kind="hour", amount=2)
    one, two = build.entity(), build.entity()
    now = clock.now()
    assert [spend.reserve(who.pk, now).permit_id is not None for who in (one, two, one)] == [True, True, False]
    assert "all entities together" in spend.reserve(two.pk, now).quota.why
    assert Permit.objects.count() == 2


def test_a_gap_lets_one_at_a_time() -> None:
    who = build.entity()
    build.limit(entity=who, kind="gap", amount=30)
    now = clock.now()
    permit = spend.reserve(who.pk, now).permit_id
    assert permit is not None
    assert spend.reserve(who.pk, now).permit_id is None
    assert spend.spend(permit, now)
    assert spend.reserve(who.pk, now + timedelta(seconds=29)).permit_id is None
    assert spend.reserve(who.pk, now + timedelta(seconds=30)).permit_id is not None


def test_the_verdict_keeps_what_the_limits_left(asked: Callable[..., Entity]) -> None:
    asked(1)
    assert Reply.objects.get().verdict["left"] == [{"rule": "1 a minute", "left": 1}]
