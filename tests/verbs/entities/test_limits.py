"""Posting rights in the rows: what is counted where, what is forgiven, and that the database counts like the ledger in memory."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from entities import ledger, limits, read, spend
from entities.logic.quota import Ledger, Rule
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib import clock
from swwbot_site.lib.transitions import IllegalMove, move
from swwbot_site.models import Event
from tests import build

pytestmark = pytest.mark.django_db


def allowed(who: Entity, feed: int | None = None) -> bool:
    """Whether a post may be reserved; it is not."""
    with transaction.atomic():
        found = spend.reserve(who.pk, clock.now(), feed=feed).permit_id is not None
        transaction.set_rollback(True)
    return found


def test_a_limit_of_a_feed_counts_that_feed_alone() -> None:
    who, other, here, there = build.entity(), build.entity(), build.feed(), build.feed()
    build.limit(entity=who, feed=here, kind="hour", amount=1)
    build.permit(entity=other, feed=here, state="spent")
    build.permit(entity=who, feed=there, state="spent")
    build.permit(entity=who, state="spent")
    assert allowed(who, here.pk)
    assert spend.reserve(who.pk, clock.now(), feed=here.pk).permit_id is not None
    assert [allowed(who, here.pk), allowed(who, there.pk), allowed(who), allowed(other, here.pk)] == [False, True, True, True]
    assert spend.reserve(who.pk, clock.now(), feed=here.pk).quota.why == f"limit reached: 1 an hour, in {here.name}"


def test_a_limit_of_a_feed_and_nobody_counts_all_entities_there() -> None:
    who, other, here, there = build.entity(), build.entity(), build.feed(), build.feed()
    build.limit(entity=None, feed=here, kind="minute", amount=2, every=10)
    now = clock.now()
    build.permit(entity=other, feed=here, state="spent", settled_at=now - timedelta(minutes=9))
    build.permit(entity=other, feed=there, state="spent")
    assert spend.reserve(who.pk, now, feed=here.pk).permit_id is not None
    assert [allowed(other, here.pk), allowed(other, there.pk), allowed(other)] == [False, True, True]


def test_a_permit_keeps_its_feed_and_outlives_it() -> None:
    who, feed = build.entity(), build.feed()
    build.limit(entity=who, kind="hour", amount=1)
    permit = spend.reserve(who.pk, clock.now(), feed=feed.pk).permit_id
    assert permit is not None
    assert Permit.objects.get(pk=permit).feed == feed
    feed.delete()
    assert Permit.objects.get(pk=permit).feed is None
    assert not allowed(who)


def test_every_limit_of_the_configuration_has_its_effect() -> None:
    """rateLimits.minSecondsBetweenPosts, maxPostsPerMinute, maxPostsPerHour and the daily one."""
    now = clock.now()
    for kind, amount, posts, free_in in [("gap", 45, 1, 35), ("minute", 2, 2, 50), ("hour", 3, 3, 3590), ("day", 4, 4, 86_390)]:
        who = build.entity()
        build.limit(entity=who, kind=kind, amount=amount)
        for _ in range(posts):
            assert allowed(who)
            build.permit(entity=who, state="spent", settled_at=now - timedelta(seconds=10))
        assert spend.measure(who.pk, now).free_at == now + timedelta(seconds=free_in)
        assert spend.measure(who.pk, now + timedelta(seconds=free_in)).allowed


def test_a_post_counts_from_when_it_went_out_not_from_its_reservation() -> None:
    who = build.entity()
    build.limit(entity=who, kind="gap", amount=30)
    now = clock.now()
    permit = spend.reserve(who.pk, now).permit_id
    assert permit is not None
    assert spend.measure(who.pk, now + timedelta(minutes=5)).left[0].pending
    assert spend.spend(permit, now + timedelta(minutes=5))
    assert spend.measure(who.pk, now + timedelta(minutes=5)).free_at == now + timedelta(minutes=5, seconds=30)


def test_a_clock_that_is_behind_settles_nothing_before_its_reservation() -> None:
    who = build.entity()
    build.limit(entity=who, kind="minute", amount=1)
    now = clock.now()
    permit = spend.reserve(who.pk, now).permit_id
    assert permit is not None
    assert spend.spend(permit, now - timedelta(seconds=50))
    assert spend.measure(who.pk, now + timedelta(seconds=20)).free_at == now + timedelta(seconds=60)


def test_what_was_reserved_before_a_limit_was_tightened_stands_and_is_counted() -> None:
    who = build.entity()
    limit = build.limit(entity=who, kind="hour", amount=3)
    now = clock.now()
    permits = [spend.reserve(who.pk, now).permit_id for _ in range(3)]
    limit.amount = 1
    limit.save()
    assert not spend.measure(who.pk, now).allowed
    assert all(spend.spend(permit, now) for permit in permits if permit)
    assert spend.measure(who.pk, now).free_at == now + timedelta(hours=1)


def histories(seed: int) -> Iterator[tuple[int, int | None, str, float]]:
    """Permits as somebody might find them: entity, feed, state, seconds ago."""
    dice = Random(seed)
    for _ in range(dice.randint(0, 60)):
        yield (
            dice.randint(0, 2),
            dice.choice([None, 0, 1]),
            dice.choice(["reserved", "spent", "spent", "spent", "refunded", "forgiven"]),
            dice.choice([dice.uniform(-30, 200), dice.uniform(0, 8000)]),
        )


@pytest.mark.parametrize("seed", range(12))
def test_the_database_counts_like_the_ledger_in_memory(seed: int) -> None:
    now, dice = clock.now(), Random(seed)
    people, feeds = [build.entity() for _ in range(3)], [build.feed() for _ in range(2)]
    kinds = [("gap", 1), ("minute", 1), ("minute", 7), ("hour", 1), ("hour", 2), ("day", 1)]
    for whose in (*people, None):
        for where in (None, *feeds):
            for kind, every in dice.sample(kinds, 3):
                build.limit(entity=whose, feed=where, kind=kind, every=every, amount=dice.randint(1, 12))
    rows = []
    for who, feed, state, seconds in histories(seed):
        moment = now - timedelta(seconds=seconds)
        place = None if feed is None else feeds[feed].pk
        permit = build.permit(entity=people[who], feed_id=place, state=state, settled_at=None if state == "reserved" else moment)
        rows.append((permit.entity_id, place, state, moment))

    def expected(entity_id: int, rule: Rule) -> Ledger:
        mine = [r for r in rows if (rule.whole or r[0] == entity_id) and rule.feed_id in (None, r[1])]
        return Ledger(spent=[r[3] for r in mine if r[2] == "spent"], reserved=sum(r[2] == "reserved" for r in mine))

    for entity_id, quota in spend.measured([who.pk for who in people], now).items():
        rules = [one.rule for one in quota.left]
        assert len(rules) == 18
        found = ledger.uses([(entity_id, rule) for rule in rules], now)
        assert found == {(entity_id, rule): expected(entity_id, rule).use(rule, now) for rule in rules}


def test_many_are_measured_with_two_questions_and_one_reserves_with_few() -> None:
    people = [build.entity() for _ in range(30)]
    feed = build.feed()
    for who in people:
        build.limit(entity=who, kind="minute", amount=3)
        build.limit(entity=who, kind="hour", amount=3, feed=feed)
    build.limit(entity=None, kind="hour", amount=3)
    build.limit(entity=None, kind="gap", amount=3, feed=feed)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert len(read.quotas([who.pk for who in people], clock.now())) == 30
    assert len(asked) == 2
    with CaptureQueriesContext(connection) as asked:
        assert len(limits.standing(RateLimit.objects.values_list("pk", flat=True), clock.now())) == 62
    assert len(asked) == 2 + 1
    with CaptureQueriesContext(connection) as asked:
        assert spend.reserve(people[0].pk, clock.now(), feed=feed.pk).permit_id is not None
    assert len(asked) == 5  # savepoint, locks and rules, ledger, permit, release


def test_a_long_ledger_is_not_read() -> None:
    people, feed = [build.entity() for _ in range(20)], build.feed()
    build.limit(entity=people[0], kind="hour", amount=20)
    build.limit(entity=people[0], kind="minute", amount=2, feed=feed)
    build.limit(entity=None, kind="minute", amount=50)
    build.limit(entity=None, kind="minute", amount=40, feed=feed)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO entities_permit (entity_id, feed_id, state, reserved_at, settled_at) SELECT id, %s, 'spent', at, at"
            " FROM entities_entity, (SELECT now() - n * interval '20 s' AS at FROM generate_series(1, 2000) n) AS past",
            [feed.pk],
        )
        cursor.execute("ANALYZE entities_permit")
        rules = [one.rule for one in spend.measure(people[0].pk, clock.now(), feed=feed.pk).left]
        assert len(rules) == 4
        with CaptureQueriesContext(connection) as asked:
            ledger.uses([(people[0].pk, rule) for rule in rules], clock.now())
        for statement in asked[0]["sql"].split(";\n"):
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan on entities_permit" not in plan, plan


@pytest.mark.django_db(transaction=True)
def test_the_count_begins_anew_for_what_that_limit_sees() -> None:
    who, other = build.entity(slug="owl"), build.entity()
    build.limit(entity=who, kind="minute", amount=1)
    build.limit(entity=who, kind="hour", amount=3)
    now = clock.now()
    for seconds in (10, 100, 1000, 5000):
        build.permit(entity=who, state="spent", settled_at=now - timedelta(seconds=seconds))
    build.permit(entity=who)
    build.permit(entity=other, state="spent")
    assert limits.reset(who.pk, "minute", "ann") == 1
    assert [one.remaining for one in spend.measure(who.pk, now).left] == [0, 0]  # one is reserved still
    assert limits.reset(who.pk, None, "ann") == 2
    assert [(one.rule.kind, one.remaining) for one in spend.measure(who.pk, now).left] == [("hour", 2), ("minute", 0)]
    assert limits.reset(who.pk, None, "ann") == 0
    states = Permit.objects.filter(entity=who).order_by("id").values_list("state", flat=True)
    assert list(states) == ["forgiven", "forgiven", "forgiven", "spent", "reserved"]
    assert Permit.objects.get(entity=other).state == "spent"
    told = Event.objects.filter(kind="limits.reset").order_by("id")[0]
    assert (told.text, told.subject) == ("The minute limits of owl begin anew: 1 post forgiven", "entity:owl")
    assert (told.detail["who"], told.detail["posts"]) == ("ann", 1)


def test_the_count_of_everybody_or_of_one_feed_begins_anew() -> None:
    who, other, here, there = build.entity(), build.entity(), build.feed(), build.feed()
    build.limit(entity=None, kind="hour", amount=2)
    for one in (who, other):
        for feed in (here, there):
            build.permit(entity=one, feed=feed, state="spent")
    assert limits.reset(who.pk, "hour", "ann", feed=here.pk) == 1
    assert limits.reset(None, "day", "ann") == 0
    assert limits.reset(None, "hour", "ann", feed=there.pk) == 2
    assert allowed(who)
    assert limits.reset(None, None, "ann") == 1


def test_nothing_is_forgiven_for_a_kind_or_an_entity_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'week' is no kind of limit: there are gap, minute, hour, day"):
        limits.reset(None, "week", "ann")
    with pytest.raises(Entity.DoesNotExist):
        limits.reset(0, None, "ann")


def test_a_forgiven_permit_is_final_and_a_reserved_one_cannot_be_forgiven() -> None:
    permit = build.permit(state="forgiven")
    assert not spend.spend(permit.pk, clock.now())
    assert not spend.refund(permit.pk, clock.now())
    for old in ("reserved", "refunded", "forgiven"):
        with pytest.raises(IllegalMove):
            move(Permit.objects.all(), old, "forgiven")


def test_each_change_of_a_limit_is_kept() -> None:
    limit = build.limit(entity=None, kind="minute", amount=5, every=10)
    limit.amount = 6
    limit.save()
    key = limit.pk
    limit.delete()
    kept = RateLimit.history.filter(id=key).order_by("history_id").values_list("history_type", "amount", "every")
    assert list(kept) == [("+", 5, 10), ("~", 6, 10), ("-", 6, 10)]
