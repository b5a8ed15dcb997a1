"""Limits in deciding: who waits, who is dropped, who is admitted later, and when it is too late."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cluster.models import Generation
from conversations import admit, cycle
from conversations.logic import turnstile
from conversations.models import Feed, Message, Reply
from entities import limits, restrict, spend
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib import clock
from swwbot_site.lib.wake import Channel, waking
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
    assert frozen is not None
    assert admit.admit(now + timedelta(seconds=2)) == 0
    assert first.permit_id is not None
    spend.spend(first.permit_id, now)
    assert admit.admit(now + timedelta(seconds=4)) == 0
    second.refresh_from_db()
    assert second.permit_at == now + timedelta(seconds=4) + turnstile.LOOK
    assert admit.admit(now + timedelta(seconds=55)) == 0
    assert admit.next_at() == now + timedelta(seconds=60)
    assert admit.admit(now + timedelta(seconds=59)) == 0
    assert admit.admit(now + timedelta(seconds=60)) == 1
    second.refresh_from_db()
    assert second.generation is not None
    assert second.permit is not None
    assert second.permit.feed == second.message.feed
    assert second.generation.request == frozen["request"]
    assert Reply.objects.filter(pk=second.pk, prepared__isnull=True, permit_at__isnull=True).exists()
    assert second.generation.deadline == second.deadline
    assert admit.next_at() is None


def test_a_refund_frees_the_place(asked: Callable[..., Entity]) -> None:
    asked(2)
    first = Reply.objects.order_by("id")[0]
    assert first.permit_id is not None
    assert spend.refund(first.permit_id, clock.now())
    assert not spend.refund(first.permit_id, clock.now())
    assert not spend.spend(first.permit_id, clock.now())
    assert admit.admit(clock.now() + timedelta(seconds=2)) == 1


@pytest.mark.django_db(transaction=True)
def test_who_waited_too_long_is_dropped_and_keeps_its_request(asked: Callable[..., Entity]) -> None:
    asked(2)
    late = clock.now() + timedelta(seconds=301)
    assert admit.admit(late) == 0
    second = Reply.objects.order_by("id")[1]
    assert (second.state, second.reason, second.permit_at) == ("dropped", "its limits refused it until it was too late", None)
    assert second.prepared is not None
    assert admit.admit(late) == 0
    assert Generation.objects.count() == 1
    told = Event.objects.get(kind="reply.dropped")
    assert (told.text, told.subject) == ("Ping answers no more: its limits refused it until it was too late", f"reply:{second.pk}")


@pytest.mark.django_db(transaction=True)
def test_whom_the_limits_cannot_allow_in_time_is_not_kept_waiting() -> None:
    who = build.entity(slug="ping", username="Ping", response_chance=0.0)
    build.limit(entity=who, kind="day", amount=1)
    build.permit(entity=who, state="spent")
    message = build.message(text="Ping?")
    cycle.judge(clock.now())
    assert not Reply.objects.exists()
    message.refresh_from_db()
    why = message.verdict["no"]["ping"]
    assert why.startswith("limit reached: 1 a day; not before ")
    assert why.endswith(", and then it is too late")
    assert why in Event.objects.get(kind="message.refused").text


PREPARED: dict[str, Any] = {
    "model": "maker/small",
    "priority": None,
    "request": {"messages": [{"role": "user", "content": "x"}], "sampling": {}, "max_tokens": None, "stop": []},
}


def waiting(who: Entity, feed: Feed, **over: Any) -> Reply:
    """A reply that stands in line and is to ask now."""
    priority = over.pop("priority", None)
    message = build.message(feed=feed, decided_at=clock.now())
    return build.reply(
        **{"entity": who, "message": message, "prepared": PREPARED | {"priority": priority}, "permit_at": clock.now()} | over
    )


def admitted() -> list[int]:
    return list(Reply.objects.filter(generation__isnull=False).order_by("generation_id").values_list("pk", flat=True))


def free(seconds: float = 0) -> None:
    """Everything reserved is out, so long ago."""
    for permit in Permit.objects.filter(state="reserved"):
        Permit.objects.filter(pk=permit.pk).update(state="spent", settled_at=clock.now() - timedelta(seconds=seconds))


def test_a_limit_tightened_meanwhile_ends_the_whole_line_at_once_with_the_reason() -> None:
    who, feed = build.entity(), build.feed()
    build.limit(entity=who, kind="hour", amount=1)
    build.permit(entity=who, state="spent", settled_at=clock.now() - timedelta(minutes=54))
    line = [waiting(who, feed) for _ in range(30)]
    patient = waiting(who, feed, deadline=clock.now() + timedelta(minutes=7))
    assert admit.admit(clock.now()) == 0
    assert set(Reply.objects.filter(pk__in=[one.pk for one in line]).values_list("state", flat=True)) == {"dropped"}
    assert {one.reason[:30] for one in Reply.objects.filter(state="dropped")} == {"limit reached: 1 an hour; not "}
    patient.refresh_from_db()
    assert patient.state == "waiting"


def test_the_first_of_a_line_asks_for_all_and_nobody_else_does() -> None:
    who, feed = build.entity(), build.feed()
    build.limit(entity=who, kind="minute", amount=1)
    build.permit(entity=who, state="spent", settled_at=clock.now() - timedelta(seconds=20))
    first, *_ = [waiting(who, feed) for _ in range(500)]
    now = clock.now()
    with CaptureQueriesContext(connection) as asked:
        assert admit.admit(now) == 0
    assert len(asked) < 20
    assert Reply.objects.exclude(permit_at__lte=now).count() == 1
    with CaptureQueriesContext(connection) as asked:
        assert admit.admit(now + timedelta(seconds=1)) == 0
    assert len(asked) < 8
    assert admit.next_at() == Reply.objects.get(pk=first.pk).permit_at == now + turnstile.LOOK
    assert not Permit.objects.filter(state="reserved").exists()


def test_in_a_line_the_most_urgent_is_first_and_of_those_the_oldest() -> None:
    who, feed = build.entity(priority=50), build.feed()
    limit = build.limit(entity=who, kind="hour", amount=4)
    line = [waiting(who, feed, priority=wish) for wish in (None, 70, 3, 50, 0, 3)]
    assert admit.admit(clock.now()) == 4
    assert admitted() == [line[n].pk for n in (4, 2, 5, 0)]
    limit.delete()
    assert admit.admit(clock.now() + timedelta(minutes=1)) == 2
    assert admitted()[-2:] == [line[3].pk, line[1].pk]


def test_a_common_limit_serves_the_oldest_of_all_lines_and_starves_nobody() -> None:
    busy, quiet, other, feed = build.entity(), build.entity(), build.entity(), build.feed()
    common = build.limit(entity=None, kind="minute", amount=1)
    line = [waiting(busy, feed), waiting(quiet, feed), waiting(busy, feed), waiting(other, feed)]
    for turn in range(4):
        assert admit.admit(clock.now() + timedelta(seconds=2 * turn + 1)) == 1
        assert len(admitted()) == turn + 1
        free(61)
    assert admitted() == [one.pk for one in line]
    assert common.amount == 1


def test_a_line_held_up_in_one_feed_does_not_hold_up_another_nor_its_own_entity_there() -> None:
    who, other, here, there = build.entity(), build.entity(), build.feed(), build.feed()
    build.limit(entity=who, feed=here, kind="hour", amount=1)
    build.permit(entity=who, feed=here, state="spent", settled_at=clock.now() - timedelta(seconds=3598))
    held, elsewhere, others = waiting(who, here), waiting(who, there), waiting(other, here)
    assert admit.admit(clock.now()) == 2
    assert admitted() == [elsewhere.pk, others.pk]
    held.refresh_from_db()
    assert held.state == "waiting"


def test_whoever_comes_later_does_not_overtake_who_waits(asked: Callable[..., Entity]) -> None:
    who = asked(2)
    first, second = Reply.objects.order_by("id")
    free(61)
    build.message(feed=first.message.feed, text="Ping, are you there?")
    cycle.judge(clock.now())
    third = Reply.objects.order_by("id")[2]
    assert (third.generation, third.permit) == (None, None)
    assert third.permit_at is not None
    assert admit.admit(clock.now() + timedelta(seconds=2)) == 1
    second.refresh_from_db()
    third.refresh_from_db()
    assert second.generation is not None
    assert third.generation is None
    assert who.limits.count() == 1


def test_chance_leaves_the_last_place_of_a_common_limit_to_those_who_were_asked() -> None:
    limit = build.limit(entity=None, kind="hour", amount=1)
    asked, idle, feed = build.entity(response_chance=0.0), build.entity(response_chance=1.0, model="maker/small"), build.feed()
    waiting(asked, feed, permit_at=clock.now() + timedelta(seconds=5))
    message = build.message(feed=feed, text="Nice weather.")
    cycle.judge(clock.now())
    message.refresh_from_db()
    assert message.verdict["no"][idle.slug] == "others wait for: 1 an hour, all entities together"
    limit.amount = 2
    limit.save()
    build.message(feed=feed, text="Nice weather.")
    cycle.judge(clock.now())
    assert Reply.objects.filter(entity=idle).count() == 1


def test_a_reset_lets_the_line_go_on(asked: Callable[..., Entity]) -> None:
    who = asked(2)
    free()
    assert admit.admit(clock.now() + timedelta(seconds=2)) == 0
    assert limits.reset(who.pk, "minute", "ann") == 1
    assert admit.admit(clock.now() + timedelta(seconds=2) + turnstile.LOOK) == 1


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


def test_when_limits_have_changed_everybody_in_line_asks_at_once_however_far_away_its_moment_was() -> None:
    who, other, feed = build.entity(), build.entity(), build.feed()
    allowance = build.limit(entity=who, kind="hour", amount=1)
    build.limit(entity=other, kind="hour", amount=1)
    for one in (who, other):
        build.permit(entity=one, state="spent", settled_at=clock.now())
    late = {"permit_at": clock.now() + timedelta(minutes=59), "deadline": clock.now() + timedelta(hours=3)}
    line = [waiting(who, feed, **late) for _ in range(3)]
    waiting(other, feed, **late)
    allowance.delete()
    assert admit.admit(clock.now()) == 0
    assert admit.admit(clock.now(), anew=True) == 3
    assert admitted() == [one.pk for one in line]


@pytest.mark.parametrize(
    "act",
    [
        lambda who, limit: limits.reset(who.pk, None, "somebody"),
        lambda who, limit: restrict.change(limit.pk, {"amount": 9}, "somebody"),
        lambda who, limit: restrict.add({"entity": who, "kind": "day", "amount": 9}, "somebody"),
        lambda who, limit: restrict.remove(limit.pk, "somebody"),
    ],
    ids=["begun anew", "changed", "added", "removed"],
)
def test_who_stands_in_line_hears_of_changed_limits(act: Callable[[Entity, RateLimit], object]) -> None:
    who = build.entity()
    limit = build.limit(entity=who, kind="hour", amount=1)
    with CaptureQueriesContext(connection) as told:
        act(who, limit)
    rung = [query["sql"] for query in told if query["sql"].startswith("NOTIFY")]
    assert rung in ([waking(Channel.LIMITS), waking(Channel.LISTEN)], [waking(Channel.SETTINGS), waking(Channel.LISTEN)])
