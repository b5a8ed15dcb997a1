"""Steps 1 to 4 against real feeds of all four generations."""

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from cluster.models import Generation
from conversations import analyse, company, cycle, ingest, poll
from conversations.decide import PATIENCE, UNCLAIMED, decide
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.models import Feed, Message, Reply
from entities.models import Entity, Permit
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build
from tests.verbs.conversations.desk import Desk, quirks, say, shown

GENERATIONS = ("kv", "kv-patch", "kv-queue", "do")
every = pytest.mark.parametrize("generation", GENERATIONS)
Feeds = Callable[..., Chat]


def who(**over: object) -> Entity:
    """A persona with a model to speak for it."""
    return build.entity(**{"model": "maker/small"} | over)


def calm(**over: float) -> Quirks:
    """No losses."""
    return Quirks(**{"race_ms": 0.0, "rate_limit": False} | over)


@every
def test_a_message_is_kept_once_however_often_it_is_seen(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    ids = {say(feed, f"number {n}", id=f"{1000 + n}-abc") for n in range(3)}
    assert desk.poll() == 3
    assert desk.poll() == 0
    assert set(Message.objects.values_list("remote_id", flat=True)) == ids
    row = Feed.objects.get()
    assert row.detected == generation
    assert row.cursor == max(one["timestamp"] for one in shown(feed))
    assert (row.failures, row.error) == (0, "")


@every
def test_late_messages_are_found_in_the_overlap(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    now = clock.millis(clock.now())
    say(feed, "first", id="a-1", timestamp=now)
    assert desk.poll() == 1
    say(feed, "written before, shown later", id="a-2", timestamp=now - 30_000)
    say(feed, "too late for anybody", id="a-3", timestamp=now - 90_000)
    assert desk.poll() == 1
    assert Feed.objects.get().cursor == now


@pytest.mark.parametrize("generation", ["kv", "kv-patch"])
def test_more_messages_than_one_answer_holds_are_paged_back(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    first = clock.millis(clock.now()) - 5000
    say(feed, "the beginning", id="m-0", timestamp=first)
    assert desk.poll() == 1
    for n in range(1, 30):
        say(feed, f"number {n}", id=f"m-{n}", timestamp=first + n)
    Feed.objects.update(poll_at=None)
    (target,) = poll.due(desk.owner, clock.now())
    page = desk._background.run(desk.client.fetch(target.endpoint, after=target.after, limit=7))
    assert page.complete
    assert page.requests > 1
    assert ingest.ingest(ingest.Haul(target=target, asked_at=clock.now(), generation=generation, page=page), clock.now()) == 29


def test_what_could_not_be_read_back_is_told(chat: Feeds, desk: Desk) -> None:
    feed = chat("kv", quirks=calm())
    say(feed)
    desk.poll()
    Feed.objects.update(poll_at=None)
    (target,) = poll.due(desk.owner, clock.now())
    haul = desk.fetch(target)
    page = type(haul.page)(messages=haul.page.messages, complete=False)
    ingest.ingest(ingest.Haul(target=target, asked_at=clock.now(), generation="kv", page=page), clock.now())
    assert Event.objects.filter(kind="feed.gap").count() == 1


def test_an_item_that_is_no_message_is_told_once_and_stops_nobody(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    say(feed, "good", id="good")
    say(feed, "bad", id="bad", timestamp="yesterday")
    assert desk.poll() == 1
    say(feed, "good too", id="good-2")
    assert desk.poll() == 1
    assert Event.objects.filter(kind="message.rejected").count() <= 1


@every
def test_a_poll_that_fails_is_told_once_rests_longer_each_time_and_recovers(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    say(feed)
    desk.poll()
    quirks(feed, fail=99, fail_status=500)
    before = Feed.objects.get().cursor
    for _ in range(3):
        assert desk.poll() == 0
    row = Feed.objects.get()
    assert row.failures == 3
    assert "500" in row.error
    assert row.poll_at is not None
    assert (row.poll_at - clock.now()).total_seconds() > 5
    assert row.cursor == before
    quirks(feed, fail=0)
    say(feed, "again")
    assert desk.poll() == 1
    assert Feed.objects.get().failures == 0
    kinds = list(Event.objects.order_by("id").values_list("kind", flat=True))
    assert (kinds.count("feed.failed"), kinds.count("feed.recovered")) == (1, 1)


@every
def test_what_is_older_than_a_persona_answers_is_read_but_not_answered(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    who(slug="ping", username="Ping")
    now = clock.millis(clock.now())
    say(feed, "Ping, old?", id=f"{now - 301_000}-a", timestamp=now - 301_000)
    say(feed, "Ping, new?", id=f"{now}-b", timestamp=now)
    assert desk.listen() == 2
    assert [reply.message.text for reply in Reply.objects.select_related("message")] == ["Ping, new?"]
    assert "s old" in Message.objects.get(text="Ping, old?").verdict["no"]["ping"]


@every
@pytest.mark.parametrize("ahead_ms", [3_600_000, 7_900_000_000_000])
def test_a_message_from_the_future_makes_nobody_deaf(generation: str, ahead_ms: int, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    who(slug="ping", username="Ping", response_chance=0.0)
    now = clock.millis(clock.now())
    say(feed, "Ping, I am from the future", id="future", timestamp=min(now + ahead_ms, 253_402_300_799_000))
    assert desk.listen() == 1
    assert (Feed.objects.get().cursor or 0) < now + 10_000
    reply = Reply.objects.get()
    assert 290 < (reply.deadline - reply.decided_at).total_seconds() <= 300
    say(feed, "Ping, I am from today", id="today", timestamp=now + 1)
    assert desk.listen() == 1
    assert Reply.objects.count() == 2


def test_a_message_that_cannot_be_decided_keeps_nobody_waiting(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    who(slug="ping", username="Ping", response_chance=0.0)
    say(feed, "Ping, first", id="bad", timestamp=clock.millis(clock.now()) - 1000)
    say(feed, "Ping, second", id="good")
    desk.poll()
    Message.objects.filter(remote_id="bad").update(bot_params=["no mapping"])
    cycle.judge(clock.now())
    cycle.judge(clock.now())
    assert [reply.message.remote_id for reply in Reply.objects.all()] == ["good"]
    assert Message.objects.get(remote_id="bad").decided_at is None
    Message.objects.update(received_at=clock.now() - 2 * PATIENCE)
    cycle.judge(clock.now())
    assert "could not be decided" in Message.objects.get(remote_id="bad").verdict["why"]
    assert Event.objects.filter(kind="message.undecidable").count() == 1


@every
def test_a_restart_answers_nothing_twice(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    who(slug="ping", username="Ping")
    say(feed, "Ping?", botParams={"entity": "ping", "processed": False})
    desk.listen()
    assert Reply.objects.count() == 1
    Feed.objects.update(cursor=None, detected="", poll_at=None, lease_owner=None, lease_until=None)
    desk.listen()
    cycle.judge(clock.now())
    assert Reply.objects.count() == 1


def test_the_newest_queue_is_claimed_and_what_is_unknown_is_told_and_completed(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    who(slug="ping", username="Ping", response_chance=0.0)
    who(slug="pong", username="Pong", response_chance=0.0)
    known = say(feed, "first", botParams={"entity": "ping"})
    unknown = say(feed, "second", botParams={"entity": "nobody"})
    desk.listen()
    assert Reply.objects.get().message.remote_id == known
    event = Event.objects.get(kind="message.misdirected")
    assert event.text == f"Message {unknown} asks for the entity 'nobody', which does not exist. Known entities: ping, pong."
    assert desk.settle() == 1
    assert {one["id"]: one["botParams"]["status"] for one in shown(feed)} == {known: "processing", unknown: "complete"}


@pytest.mark.parametrize("generation", ["kv-queue", "do"])
def test_a_message_that_another_worker_claimed_is_his(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    who(slug="ping", username="Ping", response_chance=0.0)
    taken = say(feed, botParams={"entity": "ping"})
    endpoint = poll.Endpoint(url=feed.url, generation=feed.generation)
    desk._background.run(desk.client.claim(endpoint, taken, "another"))
    desk.listen()
    assert Reply.objects.count() == 0
    assert Message.objects.get().verdict["why"] == "claimed by another"
    assert desk.settle() == 0


@pytest.mark.parametrize("generation", ["kv-queue", "do"])
def test_a_claim_whose_answer_is_lost_shows_later_as_ours(generation: str, chat: Feeds, desk: Desk) -> None:
    feed = chat(generation, quirks=calm())
    who(slug="ping", username="Ping", response_chance=0.0)
    desk.poll()
    say(feed, botParams={"entity": "ping"})
    quirks(feed, method="POST", drop_after=1)
    desk.listen()
    quirks(feed, method="", drop_after=0)
    assert Reply.objects.count() == 0
    desk.listen()
    assert Reply.objects.count() == 1
    assert Message.objects.get().state == "owed"


def test_a_message_that_waits_for_its_claim_is_not_decided(chat: Feeds, desk: Desk) -> None:
    feed = chat("kv-queue", quirks=calm())
    who(slug="ping", username="Ping")
    say(feed, botParams={"entity": "somebody-elses"})
    desk.listen()
    assert Message.objects.get().decided_at is None
    Message.objects.update(received_at=clock.now() - UNCLAIMED)
    cycle.judge(clock.now())
    assert Message.objects.get().decided_at is not None
    assert Reply.objects.count() == 0


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"entity": "ping", "processed": False}, ""),
        ({"entity": "ping"}, "it is not marked as unprocessed"),
        ({"entity": "ping", "processed": True}, "it is marked as processed"),
    ],
)
def test_october_answers_only_what_says_it_is_unprocessed_and_marks_it(
    params: dict[str, object], why: str, chat: Feeds, desk: Desk
) -> None:
    feed = chat("kv-patch", quirks=calm())
    who(slug="ping", username="Ping")
    now = clock.millis(clock.now())
    say(feed, id=f"{now}-abc", timestamp=now, botParams=params)
    desk.listen()
    message = Message.objects.get()
    assert Reply.objects.count() == (not why)
    if why:
        assert message.verdict["why"] == why
        assert message.state == "none"
        return
    assert desk.settle() == 0, "its reply is still open"
    Reply.objects.update(state="dropped", ended_at=clock.now())
    assert desk.settle() == 1
    assert shown(feed)[0]["botParams"]["processed"] is True
    assert Message.objects.get().state == "settled"


def test_september_has_no_queue_and_answers_by_name(chat: Feeds, desk: Desk) -> None:
    feed = chat("kv", quirks=calm())
    who(slug="ping", username="Ping", response_chance=0.0)
    say(feed, "ping, are you typing?", botParams={"entity": "ping"})
    say(feed, "they are typing", username="Bob")
    desk.listen()
    assert [reply.mode for reply in Reply.objects.all()] == ["directed"]
    assert Message.objects.get(username="Bob").verdict["why"] == "nobody here speaks by chance"


def test_deciding_is_one_transaction_and_a_rollback_leaves_nothing(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    build.limit(entity=who(slug="ping", username="Ping"))
    say(feed, "Ping?")
    desk.poll()
    with transaction.atomic():
        message = Message.objects.select_for_update(of=("self",)).select_related("feed").get()
        now = clock.now()
        cast = company.cast()
        assert decide(message, analyse.analyse(message, message.feed, cast, now), cast, now) == 1
        assert (Reply.objects.count(), Permit.objects.count(), Generation.objects.count()) == (1, 1, 1)
        transaction.set_rollback(True)
    assert not connection.in_atomic_block
    assert (Reply.objects.count(), Permit.objects.count(), Generation.objects.count()) == (0, 0, 0)
    assert Message.objects.get().decided_at is None
    cycle.judge(clock.now())
    reply = Reply.objects.get()
    assert reply.permit is not None
    assert reply.permit.state == "reserved"
    assert reply.generation is not None
    assert reply.generation.state == "queued"
    assert reply.generation.deadline == reply.deadline


def test_one_engine_at_a_time_polls_a_feed(chat: Feeds, desk: Desk) -> None:
    chat("do")
    Feed.objects.update(poll_at=None)
    assert len(poll.due(1, clock.now())) == 1
    assert poll.due(2, clock.now()) == []
    assert len(poll.due(1, clock.now())) == 1


def test_a_dry_run_takes_nothing_from_the_feeds_queue_and_decides_all_the_same(chat: Feeds, desk: Desk) -> None:
    feed = chat("do", row={"dry_run": True})
    who(slug="ping", username="Ping", response_chance=0.0)
    say(feed, "What now?", id="asked", botParams={"entity": "ping"})
    assert desk.listen() == 1
    assert [reply.message.remote_id for reply in Reply.objects.all()] == ["asked"]
    assert [one["botParams"]["status"] for one in shown(feed)] == ["pending"]


def test_a_queue_that_fails_does_not_keep_the_chat_from_being_read(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    who(slug="ping", username="Ping", response_chance=0.0)
    say(feed, "Ping, hello?", id="plain")
    say(feed, "And you?", id="asked", botParams={"entity": "ping"})
    quirks(feed, method="POST", fail=4)
    assert desk.listen() == 2
    assert [reply.message.remote_id for reply in Reply.objects.all()] == ["plain"]
    assert Event.objects.filter(kind="message.rejected", text__contains="its queue cannot be used").count() == 1
    quirks(feed, fail=0)
    desk.listen()
    assert {reply.message.remote_id for reply in Reply.objects.all()} == {"plain", "asked"}


def test_who_looks_on_sees_a_message_as_new_whatever_its_authors_clock_says(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    who(slug="ping", username="Ping", response_chance=0.0)
    Feed.objects.update(overlap_s=3600.0)
    say(feed, "somebody", id="first")
    assert desk.listen() == 1
    say(feed, "Ping, my clock is slow", id="slow", timestamp=clock.millis(clock.now()) - 1_800_000)
    assert desk.listen() == 1
    assert [reply.message.remote_id for reply in Reply.objects.all()] == ["slow"]


def test_an_id_that_nobody_could_keep_is_told_once_and_stops_nothing(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    say(feed, "endless", id="x" * 300)
    say(feed, "sound", id="sound")
    assert desk.poll() == 1
    assert desk.poll() == 0
    assert Event.objects.filter(kind="message.rejected", text__contains="more than 200 characters").count() == 1


def test_many_claims_are_stored_a_few_at_a_time(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    who(slug="ping", username="Ping", response_chance=0.0)
    for n in range(20):
        say(feed, f"number {n}", id=f"n-{n}", botParams={"entity": "ping"})
    desk.poll()
    assert Message.objects.filter(state="owed").count() == poll.AT_ONCE
    assert Feed.objects.get().poll_at <= clock.now()
    desk.poll()
    desk.poll()
    assert Message.objects.filter(state="owed").count() == 20


def test_a_prompt_fits_the_context_of_its_model(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    build.placement(model=build.model(key="maker/small"), context_length=1024)
    who(slug="ping", username="Ping", response_chance=0.0, messages_to_read=100, max_tokens=200)
    for n in range(60):
        say(feed, f"line {n} " + "word " * 30, id=f"n-{n}", timestamp=clock.millis(clock.now()) - 60_000 + n)
    say(feed, "Ping, what of all that?", id="asked")
    desk.listen()
    prompt = Generation.objects.get().request["messages"]
    assert sum(len(one["content"]) for one in prompt) < (1024 - 200) * 4
    assert "Ping, what of all that?" in prompt[0]["content"]
    assert "line 59" in prompt[0]["content"]
    assert "line 0 " not in prompt[0]["content"]


def test_an_entity_sees_the_bots_it_listens_to(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    who(slug="ping", username="Ping", response_chance=0.0, responds_to_these_ai=["friend"])
    who(slug="friend", username="Friend", response_chance=0.0)
    now = clock.millis(clock.now())
    say(feed, "I am a friend", id="a", username="Friend", timestamp=now - 3000, **{"message-type": "AI"})
    say(feed, "I am a stranger", id="b", username="Stranger", timestamp=now - 2000, **{"message-type": "AI"})
    say(feed, "Ping, who spoke?", id="c", timestamp=now - 1000)
    desk.listen()
    text = Generation.objects.get().request["messages"][0]["content"]
    assert "I am a friend" in text
    assert "stranger" not in text
