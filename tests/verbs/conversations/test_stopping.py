"""The global stop, a dry run, and what is shared by feeds at one backend: nothing goes out that must not."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from conversations import clean, expire, outbox, post, read, settle
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.logic.delivery import LATE
from conversations.models import ConversationPolicy, Feed, Message, Reply
from conversations.stop import resume, stop
from entities.models import Permit
from swwbot_site.lib import clock
from swwbot_site.lib.leases import taken
from swwbot_site.models import Event
from tests import build
from tests.harness import until
from tests.verbs.conversations.desk import Desk, answers, say
from tests.verbs.conversations.hostile import Hostile

pytestmark = pytest.mark.django_db(transaction=True)
Feeds = Callable[..., Chat]


def ready(feed: Feed, n: int = 1, **over: Any) -> list[Reply]:
    who = build.entity()
    made = []
    for _ in range(n):
        message = build.message(feed=feed, decided_at=clock.now())
        made.append(build.reply(**{"state": "ready", "message": message, "entity": who, "permit": build.permit(entity=who)} | over))
    return made


def test_of_two_who_stop_one_did_and_of_two_who_resume_one_did() -> None:
    assert read.stopped() is None
    assert [stop("ann", "it swears\x00"), stop("bob")] == [True, False]
    row = read.stopped()
    assert row is not None
    assert (row.by, row.why) == ("ann", "it swears")
    assert [resume("bob"), resume("ann")] == [True, False]
    assert read.stopped() is None
    assert list(Event.objects.order_by("id").values_list("kind", "text")) == [
        ("posting.stopped", "ann stopped all posting: it swears"),
        ("posting.resumed", "bob lets answers be posted again"),
    ]


def test_while_stopped_nothing_is_claimed_and_afterwards_everything_goes_once(hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected="do")
    ready(feed, 3)
    stop("ann")
    assert desk.post() == []
    assert set(Reply.objects.values_list("state", "attempts", "outgoing_id")) == {("ready", 0, None)}
    resume("ann")
    assert desk.post() == [None] * 3
    assert desk.confirm() == 3
    assert len(hostile.posts()) == len(set(hostile.posts())) == 3


@pytest.mark.parametrize("generation", ["kv", "do"])
def test_a_letter_that_was_claimed_before_the_stop_is_not_sent_and_goes_once_afterwards(
    generation: str, hostile: Hostile, desk: Desk
) -> None:
    feed = build.feed(url=hostile.url, detected=generation)
    (reply,) = ready(feed)
    (letter,) = post.claim(desk.owner, clock.now())
    stop("ann")
    assert desk.hand(letter) is None
    post.told(letter, None, desk.owner)
    reply.refresh_from_db()
    assert (reply.state, reply.attempts, reply.lease_owner) == ("posting", 0, None)
    assert desk.post() == []
    assert hostile.posts() == []
    resume("ann")
    assert desk.post() == [None]
    assert desk.confirm() == 1
    assert hostile.posts() == [letter.outgoing.id]


def test_who_stops_waits_for_claims_that_have_begun() -> None:
    stopping = threading.Thread(target=lambda: (stop("ann"), connection.close()))
    with transaction.atomic():
        assert outbox.may_write()
        stopping.start()
        until(_waits, what="the stop's wait for the lock")
        assert stopping.is_alive()
    stopping.join(60)
    with transaction.atomic():
        assert not outbox.may_write()


def _waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("change", ["lost", "run out", "feed off", "dry"])
def test_a_letter_that_is_not_ours_any_more_is_not_sent(change: str, hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected="do")
    ready(feed)
    (letter,) = post.claim(desk.owner, clock.now())
    if change == "lost":
        Reply.objects.update(**taken(desk.owner + 1, clock.now()))
    if change == "run out":
        Reply.objects.update(lease_until=clock.now() - timedelta(seconds=1))
    if change == "feed off":
        Feed.objects.update(enabled=False)
    if change == "dry":
        Feed.objects.update(dry_run=True)
    assert desk.hand(letter) is None
    post.told(letter, None, desk.owner)
    assert hostile.posts() == []
    assert Reply.objects.get().lease_owner == (desk.owner + 1 if change == "lost" else None)


def test_while_stopped_messages_are_read_decided_and_answered_and_only_not_posted(chat: Feeds, desk: Desk) -> None:
    feed = chat("do", row={"detected": "do"})
    build.entity(slug="ping", username="Ping", model="maker/small", response_chance=0.0)
    stop("ann")
    say(feed, "Ping?")
    desk.listen()
    reply = Reply.objects.get()
    assert reply.generation is not None
    type(reply.generation).objects.update(state="done", text="Pong.", ended_at=clock.now(), finish_reason="stop")
    clean.clean(clock.now())
    assert desk.post() == []
    assert Reply.objects.get().state == "ready"
    resume("ann")
    desk.post()
    assert desk.confirm() == 1
    assert [one["text"] for one in answers(feed)] == ["Pong."]


@pytest.mark.parametrize("generation", ["kv-patch", "kv-queue", "do"])
def test_while_stopped_nothing_is_told_to_the_feeds_queue(generation: str, hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected=generation)
    build.message(feed=feed, decided_at=clock.now(), state="owed", settle_at=clock.now())
    stop("ann")
    assert desk.settle() == 0
    assert hostile.seen == []
    resume("ann")
    assert desk.settle() == 1
    assert Message.objects.get().state == "settled"


@pytest.mark.parametrize(
    ("why", "said"), [("stop", "posting was stopped"), ("dry", "it was a dry run"), ("", "the feed could not be posted to")]
)
def test_what_became_too_late_is_dropped_with_its_reason(why: str, said: str) -> None:
    feed = build.feed(dry_run=why == "dry")
    ready(feed, deadline=clock.now() - LATE)
    ready(feed, deadline=clock.now() - LATE, state="posting", attempts=0, lease_owner=None)
    ready(feed, deadline=clock.now() - LATE + timedelta(seconds=30))
    if why == "stop":
        stop("ann")
    assert expire.expire(clock.now()) == 2
    assert expire.expire(clock.now()) == 0
    assert list(Reply.objects.order_by("id").values_list("state", flat=True)) == ["dropped", "dropped", "ready"]
    assert set(Reply.objects.filter(state="dropped").values_list("reason", flat=True)) == {f"{said} until it was far too late"}
    assert sorted(Permit.objects.values_list("state", flat=True)) == ["refunded", "refunded", "reserved"]


def test_what_is_too_late_but_may_be_there_is_looked_for_before_it_is_given_up(hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected="do", lost_after_s=0.2)
    there, lost = ready(feed, 2, state="posting", attempts=1, deadline=clock.now() - LATE)
    hostile.kept.append({"id": there.outgoing_id, "timestamp": there.outgoing_timestamp})
    assert expire.expire(clock.now()) == 0
    assert desk.confirm() == 1
    Reply.objects.filter(pk=lost.pk).update(accepted_at=clock.now() - timedelta(seconds=1))
    desk.confirm()
    there.refresh_from_db()
    lost.refresh_from_db()
    assert (there.state, lost.state) == ("posted", "failed")
    assert "too late to post it again" in lost.reason
    assert hostile.posts() == []


@pytest.mark.parametrize("where", ["feed", "setting"])
@pytest.mark.parametrize("generation", ["kv", "kv-patch", "kv-queue", "do"])
def test_a_dry_run_writes_nothing_to_any_feed(generation: str, where: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=Quirks(race_ms=0.0), row={"detected": generation, "dry_run": where == "feed"})
    say(feed, "Ping?", botParams={"entity": "ping", "processed": False})
    before = dict(feed.counts)
    build.entity(slug="ping", username="Ping", model="maker/small", response_chance=0.0)
    with override_settings(DRY_RUN=where == "setting"):
        desk.listen()
        reply = Reply.objects.get()
        assert reply.generation is not None
        type(reply.generation).objects.update(state="done", text="Pong.", ended_at=clock.now(), finish_reason="stop")
        ready(Feed.objects.get())  # from before it was a dry run
        clean.clean(clock.now())
        assert desk.post() == []
        desk.confirm()
        assert desk.settle() == 0
    written = [call for call in set(feed.counts) - set(before) if not call.startswith("GET")]
    assert written == []
    assert Reply.objects.get(pk=reply.pk).reason.startswith("dry run")
    assert answers(feed) == []


def shared(hostile: Hostile, **over: Any) -> list[Feed]:
    """Two feeds at one backend."""
    values = {"detected": "kv", "post_interval_s": 0.0, "exempt": False} | over
    return [build.feed(url=f"{hostile.url}{end}", **values) for end in ("", "/other")]


def test_two_feeds_at_one_backend_share_its_count_of_ten_posts(hostile: Hostile, desk: Desk) -> None:
    one, other = shared(hostile)
    for feed in (one, other):
        ready(feed, 10, state="posted", accepted_at=clock.now()) if feed == one else ready(feed, 1)
    assert post.claim(desk.owner, clock.now()) == []
    other.refresh_from_db()
    assert other.post_at is not None
    assert 50 < (other.post_at - clock.now()).total_seconds() <= 61


def test_two_feeds_at_one_backend_are_posted_to_one_at_a_time_in_one_rhythm(hostile: Hostile, desk: Desk) -> None:
    for feed in shared(hostile, post_interval_s=2.0):
        ready(feed)
    now = clock.now()
    (letter,) = post.claim(desk.owner, now)
    assert post.claim(desk.owner + 1, now + timedelta(seconds=1)) == []
    assert post.claim(desk.owner + 1, now + timedelta(seconds=3)) == [], "the first is still on its way"
    desk.send(letter)
    assert len(post.claim(desk.owner, now + timedelta(seconds=3))) == 1


def test_a_feed_that_may_not_be_written_to_does_not_hold_up_what_is_owed_to_others(hostile: Hostile) -> None:
    off, on = build.feed(detected="do", enabled=False), build.feed(url=hostile.url, detected="do")
    for _ in range(settle.AT_ONCE + 5):
        build.message(feed=off, decided_at=clock.now(), state="owed", settle_at=clock.now() - timedelta(hours=1))
    owed = build.message(feed=on, decided_at=clock.now(), state="owed", settle_at=clock.now())
    assert [debt.message_id for debt in settle.due(clock.now())] == [owed.pk]


def test_the_policys_row_is_made_when_it_is_first_needed() -> None:
    assert not ConversationPolicy.objects.exists()
    assert not resume("ann")
    stop("x" * 300)
    assert len(ConversationPolicy.objects.get().stopped_by) == 200
