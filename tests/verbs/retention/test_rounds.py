"""A round: in small steps, by one at a time, from where it was left, told once."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cluster.models import Generation
from conversations import prune
from conversations.models import Message, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import hookimpl, manager
from swwbot_site.models import Event
from swwbot_site.retention import rounds
from swwbot_site.retention.row import Retention
from tests import build
from tests.harness import engines, until
from tests.verbs.retention import ages
from tests.verbs.retention.ages import ago, whole

Deadly = Callable[[str, int], None]


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def kill() -> Iterator[Deadly]:
    """Dies at the n-th time that a step is reached."""
    reached: list[str] = []
    wanted: list[tuple[str, int]] = []

    class Death:
        @hookimpl
        def on_step(self, step: str) -> None:
            reached.append(step)
            if wanted and reached.count(wanted[0][0]) == wanted[0][1]:
                wanted.clear()
                raise Killed

    death = Death()
    manager.register(death)

    def at(step: str, time: int) -> None:
        reached.clear()
        wanted[:] = [(step, time)]

    yield at
    manager.unregister(death)


def many(count: int) -> None:
    for _ in range(count):
        at = ago()
        ages.reply(generation=build.generation(state="done", queued_at=at, ended_at=at))


@pytest.mark.django_db
def test_batches_are_as_small_as_wanted_and_all_goes() -> None:
    many(7)
    ages.counted()
    ages.policy(due_at=None)
    left = []
    for _ in range(40):
        rounds.advance(clock.now(), 2)
        Retention.objects.update(due_at=None)
        left.append(Message.objects.count())
        if not Retention.objects.get().kind:
            break
    assert all(before - after <= 2 for before, after in pairwise(left))
    assert Retention.objects.get().counts == {"messages": 7, "replies": 7, "requests": 7}
    assert not Message.objects.exists()
    assert not Generation.objects.exists()


@pytest.mark.django_db
def test_a_step_costs_as_many_queries_whatever_the_batch() -> None:
    def queries(count: int) -> int:
        many(count)
        ages.counted()
        ages.policy(due_at=None, kind="messages", positions={})
        prune.mark(ago(90))
        with CaptureQueriesContext(
            connection,
        ) as seen:
            rounds.advance(clock.now())
        assert not Message.objects.exists()
        return len(seen)

    queries(1)
    assert queries(2) == queries(9)


@pytest.mark.django_db
def test_between_two_steps_is_a_pause_and_between_two_rounds_an_hour() -> None:
    whole()
    row = Retention.objects.get()
    now = clock.now()
    ages.policy(due_at=now + timedelta(minutes=5))
    assert rounds.advance(now) == 300
    ages.policy(due_at=None)
    assert rounds.advance(now) >= rounds.LEAST_S
    row.refresh_from_db()
    assert row.kind
    while Retention.objects.get().kind:
        pause = rounds.advance(now)
        Retention.objects.update(due_at=None)
    assert pause == rounds.EVERY.total_seconds()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["prune.before", "prune.inside", "prune.after"])
@pytest.mark.parametrize("time", [1, 3, 5])
def test_who_is_killed_at_any_step_loses_nothing_and_the_next_goes_on(kill: Deadly, step: str, time: int) -> None:
    many(6)
    kept = ages.reply(1)
    ages.counted()
    ages.policy(due_at=None)
    kill(step, time)
    died = False
    for _ in range(60):
        try:
            rounds.advance(clock.now(), 2)
        except Killed:
            died = True
        Retention.objects.update(due_at=None)
        if died and Retention.objects.get().ended_at:
            break
    assert Retention.objects.get().counts == {"messages": 6, "replies": 6, "requests": 6}
    assert list(Reply.objects.all()) == [kept]
    (event,) = Event.objects.filter(kind="retention.pruned")
    assert event.text == "Old rows went: 6 replies, 6 messages, 6 requests"
    assert event.detail == {"messages": 6, "replies": 6, "requests": 6}


@pytest.mark.django_db(transaction=True)
def test_a_round_in_which_nothing_goes_says_nothing_and_remembers_what_went_last() -> None:
    many(1)
    whole()
    assert not whole()
    assert Event.objects.filter(kind="retention.pruned").count() == 1
    assert Retention.objects.get().gone == {"messages": 1, "replies": 1, "requests": 1}


@pytest.mark.django_db
def test_a_wrong_clock_does_not_stop_a_walk() -> None:
    many(1)
    early = ages.message(1)
    Message.objects.filter(pk=early.pk).update(received_at=ago(-400))
    many(3)
    assert whole(size=3)["messages"] >= 3
    assert whole(size=3, day=None) in ({}, {"messages": 1, "replies": 1, "requests": 1})
    assert list(Message.objects.all()) == [early]


@pytest.mark.django_db
def test_a_kind_that_is_kept_for_ever_in_the_middle_of_a_round_is_left() -> None:
    many(3)
    ages.counted()
    ages.policy(due_at=None)
    rounds.advance(clock.now(), 1)
    assert Retention.objects.get().kind == "messages"
    assert whole(messages_days=0, details_days=0) == {}
    assert Message.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_engines_throw_away_by_themselves() -> None:
    many(5)
    ages.counted()
    with engines(2):
        until(lambda: Event.objects.filter(kind="retention.pruned").exists(), what="a round")
    assert not Message.objects.exists()
    assert Event.objects.filter(kind="retention.pruned").count() == 1
    assert Event.objects.get(kind="retention.pruned").detail == {"messages": 5, "replies": 5, "requests": 5}


@pytest.mark.django_db
def test_no_delete_has_to_search_a_table_for_what_refers_to_its_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT k.conrelid::regclass::text, a.attname FROM pg_constraint k"
            " JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]"
            " WHERE k.contype = 'f' AND NOT EXISTS (SELECT 1 FROM pg_index i"
            " WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1] AND i.indpred IS NULL)"
        )
        assert cursor.fetchall() == []
