"""Eight workers at one moment never post more than the limits allow."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from django.db import transaction

from conversations import admit
from conversations.models import Reply
from entities import limits, spend, switch
from entities.models import Permit, RateLimit
from swwbot_site.lib import clock
from tests import build
from tests.races.hands import at_once

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8


@pytest.mark.parametrize(("own", "whole", "allowed"), [(10, None, 10), (None, 10, 10), (12, 5, 5), (3, 20, 6)])
def test_eight_workers_never_reserve_one_permit_too_many(own: int | None, whole: int | None, allowed: int) -> None:
    personas = [build.entity() for _ in range(2 if whole else 1)]
    if own:
        for who in personas:
            build.limit(entity=who, kind="minute", amount=own)
    if whole:
        build.limit(entity=None, kind="hour", amount=whole)

    def reserve(worker: int) -> int:
        turns = (personas[(worker + n) % len(personas)].pk for n in range(5))
        return sum(spend.reserve(who, clock.now()).permit_id is not None for who in turns)

    assert sum(at_once(WORKERS, reserve)) == allowed
    counts = Counter(Permit.objects.values_list("entity_id", flat=True))
    assert sum(counts.values()) == allowed
    assert not own or max(counts.values()) <= own


def test_entity_feed_and_common_limits_hold_together_while_permits_are_given_back() -> None:
    people, feeds = [build.entity() for _ in range(3)], [build.feed() for _ in range(2)]
    for who in people:
        build.limit(entity=who, kind="hour", amount=9)
        build.limit(entity=who, feed=feeds[0], kind="hour", every=2, amount=4)
    build.limit(entity=None, feed=feeds[1], kind="day", amount=11)
    build.limit(entity=None, kind="hour", amount=20)

    def post(worker: int) -> int:
        dice, kept = Random(worker), 0
        for _ in range(30):
            now = clock.now()
            permit = spend.reserve(dice.choice(people).pk, now, feed=dice.choice(feeds).pk).permit_id
            if permit is None:
                continue
            if dice.random() < 0.5:
                assert spend.refund(permit, now)
            else:
                kept += 1
                assert dice.random() < 0.3 or spend.spend(permit, now)
        return kept

    kept = sum(at_once(WORKERS, post))
    rows = Permit.objects.filter(state__in=["reserved", "spent"])
    assert rows.count() == kept
    for limit in RateLimit.objects.all():
        counted = rows.filter(**{} if limit.entity is None else {"entity": limit.entity})
        assert counted.filter(**{} if limit.feed is None else {"feed": limit.feed}).count() <= limit.amount, limit
    assert kept == 20


def test_a_gap_is_kept_by_eight_workers() -> None:
    who = build.entity()
    build.limit(entity=who, kind="gap", amount=60)

    def reserve(worker: int) -> bool:
        return spend.reserve(who.pk, clock.now()).permit_id is not None

    assert sum(at_once(WORKERS, reserve)) == 1


def test_a_permit_is_settled_once() -> None:
    who = build.entity()
    permit = spend.reserve(who.pk, clock.now()).permit_id
    assert permit is not None

    def settle(worker: int) -> bool:
        return (spend.refund if worker % 2 else spend.spend)(permit, clock.now())

    assert sum(at_once(WORKERS, settle)) == 1


def test_nobody_waits_in_a_circle() -> None:
    """Decisions about several entities, switching, and counts that begin anew, all about the same rows."""
    people, feeds = [build.entity() for _ in range(4)], [build.feed() for _ in range(2)]
    for who in people:
        build.limit(entity=who, kind="minute", amount=1000)
    for feed in (*feeds, None):
        build.limit(entity=None, feed=feed, kind="minute", amount=1000)

    def work(worker: int) -> int:
        dice, done = Random(worker), 0
        for _ in range(12):
            some = [who.pk for who in dice.sample(people, 3)]
            if worker == 0:
                done += switch.disable(some, "racing") + switch.enable(some)
            elif worker == 1:
                done += limits.reset(dice.choice([None, *some]), None, "ann")
            else:
                done += decided(some, dice.choice(feeds).pk)
        return done

    assert all(at_once(WORKERS, work)[2:])


def decided(some: list[int], feed: int) -> int:
    """A transaction that reserves for several, as a decision does."""
    with transaction.atomic():
        spend.lock(some, feed)
        permits = [spend.reserve(who, clock.now(), feed=feed).permit_id for who in some]
    return sum(spend.spend(permit, clock.now()) for permit in permits if permit)


def test_a_line_that_eight_engines_serve_gets_exactly_what_the_limits_allow() -> None:
    people, feed = [build.entity() for _ in range(3)], build.feed()
    for who in people:
        build.limit(entity=who, kind="hour", amount=4)
    build.limit(entity=None, feed=feed, kind="hour", amount=10)
    prepared: dict[str, Any] = {
        "model": "maker/small",
        "priority": None,
        "request": {"messages": [{"role": "user", "content": "x"}], "sampling": {}, "max_tokens": None, "stop": []},
    }
    for n in range(24):
        build.reply(entity=people[n % 3], message=build.message(feed=feed), prepared=prepared, permit_at=clock.now())

    def serve(worker: int) -> int:
        return sum(admit.admit(clock.now()) for _ in range(4))

    at_once(WORKERS, serve)
    Reply.objects.filter(permit_at__isnull=False).update(permit_at=clock.now())
    admit.admit(clock.now())
    admitted = Reply.objects.filter(generation__isnull=False)
    assert admitted.count() == Permit.objects.count() == 10
    assert max(Counter(admitted.values_list("entity_id", flat=True)).values()) <= 4
    for who in people:  # of each line the oldest
        line = Reply.objects.filter(entity=who).order_by("pk").values_list("generation", flat=True)
        assert [bool(one) for one in line] == sorted((bool(one) for one in line), reverse=True)
