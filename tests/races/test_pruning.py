"""Old rows go while others work on them: an answer is wanted again, a poll brings them once more, a question is put about them."""

import json

import pytest
from django.db import IntegrityError

from cluster.models import Generation
from conversations import ingest
from conversations.convene import Refused as NotConvened
from conversations.convene import Wish, convene
from conversations.feed.values import Endpoint, FeedMessage, Page
from conversations.feed.values import Generation as Kind
from conversations.logic.haul import Haul, Target
from conversations.models import Ensemble, Feed, Message, Reply
from conversations.requeue import Refused, requeue
from entities.models import Permit
from swwbot_site.config.apply import apply
from swwbot_site.lib import clock
from swwbot_site.models import Event
from swwbot_site.retention import rounds
from swwbot_site.retention.row import Retention
from tests import build
from tests.races.hands import at_once
from tests.verbs.retention import ages
from tests.verbs.retention.ages import ago

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 40


def prune() -> None:
    """Steps until a round has ended."""
    for _ in range(400):
        rounds.advance(clock.now(), 5)
        row = Retention.objects.get()
        if row.ended_at and not row.kind:
            return
        Retention.objects.filter(kind__gt="").update(due_at=None)


def ready() -> None:
    ages.counted()
    ages.policy(due_at=None)


def test_eight_who_throw_away_throw_each_row_away_once_and_tell_it_once() -> None:
    for _ in range(COUNT):
        ages.reply(permit=build.permit(state="spent", reserved_at=ago(), settled_at=ago()))
    ready()
    at_once(8, lambda _: prune())
    events = Event.objects.filter(kind="retention.pruned")
    assert [event.detail for event in events] == [{"messages": COUNT, "replies": COUNT, "permits": COUNT}]
    assert not Message.objects.exists()
    assert not Permit.objects.exists()


def test_an_answer_that_is_wanted_again_stays_with_its_message_or_is_gone() -> None:
    who = build.entity()
    ids = [ages.reply(state="failed", text="Here I am.", entity=who).pk for _ in range(COUNT)]
    ready()
    wanted: list[int] = []
    gone: list[int] = []

    def work(worker: int) -> None:
        if worker == 0:
            prune()
            return
        for pk in ids[worker - 1 :: 3]:
            try:
                requeue(pk, "Ann")
                wanted.append(pk)
            except Refused:
                gone.append(pk)

    at_once(4, work)
    assert sorted(wanted) == sorted(Reply.objects.values_list("pk", flat=True))
    assert len(wanted) + len(gone) == COUNT
    assert set(Reply.objects.values_list("state", flat=True)) <= {"ready"}
    assert Message.objects.count() == len(wanted)
    assert Permit.objects.filter(state="reserved").count() == len(wanted)


def test_a_poll_that_brings_them_once_more_makes_nothing_new() -> None:
    feed = ages.feed()
    rows = [ages.message(feed=feed, remote_id=f"m-{n}") for n in range(COUNT)]
    said = {
        "text": "Hi",
        "username": "Ann",
        "color": "",
        "domain": "",
        "kind": "human",
        "context": None,
        "reply_to": "",
        "bot_params": None,
    }
    found = (FeedMessage(id=row.remote_id, raw_id=row.remote_id, timestamp=row.timestamp, raw={}, **said) for row in rows)
    target = Target(
        feed_id=feed.pk, name=feed.name, url=feed.url, generation="do", endpoint=Endpoint(url=feed.url, generation=Kind.DO), after=None,
        worker=feed.worker, claim=False, dry=False, pending=frozenset(),
    )  # fmt: skip
    haul = Haul(target=target, asked_at=clock.now(), generation="do", page=Page(messages=tuple(found)))
    ready()
    fresh: list[int] = []

    def work(worker: int) -> None:
        if worker == 0:
            prune()
        else:
            fresh.extend(ingest.ingest(haul, clock.now()) for _ in range(15))

    at_once(4, work)
    assert sum(fresh) == 0
    assert not Message.objects.exists()
    assert Feed.objects.get().failures == 0


def test_a_question_about_an_old_message_is_put_or_refused() -> None:
    one, two = build.entity(), build.entity()
    ids = [ages.message().pk for _ in range(COUNT)]
    ready()
    begun: list[int] = []

    def work(worker: int) -> None:
        if worker == 0:
            for _ in range(50):
                try:
                    return prune()
                except IntegrityError:  # the engine's next turn
                    continue
            return None
        for pk in ids[worker - 1 :: 3]:
            try:
                begun.append(convene(Wish(question="", message=pk, who=(one.slug,), synthesizer=two.slug), clock.now()))
            except (NotConvened, IntegrityError):
                continue
        return None

    at_once(4, work)
    assert sorted(begun) == sorted(Ensemble.objects.values_list("pk", flat=True))
    assert Message.objects.count() == len(begun)
    assert not Generation.objects.exists()


def test_a_file_that_says_how_long_rows_are_kept_is_imported_beside_a_round() -> None:
    feed = ages.feed()
    ages.policy()
    imported: list[int] = []

    def work(worker: int) -> None:
        for n in range(1, 21):
            if worker == 0:
                Retention.objects.update(kind="", due_at=None)
                rounds.advance(clock.now())  # the first step of a round: it moves the mark of the feed
            else:
                days = 1000 * worker + n
                tree = {"feeds": [{"name": feed.name, "url": feed.url, "maxText": days}], "retention": {"messagesDays": days}}
                apply(json.dumps(tree).encode(), "config.json")
                imported.append(days)

    at_once(3, work)
    assert len(imported) == 40
    assert Feed.objects.get().max_text == Retention.objects.get().messages_days
