"""Analysis on rows: which conversation a message is part of, what it sees of it, and what is found in it."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.db import transaction

from conversations import company, cycle
from conversations.analyse import analyse
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.logic.grouping import is_private
from conversations.logic.hearing import LEAST
from conversations.logic.scene import Scene
from conversations.models import Feed, Message, Reply
from conversations.windows import Windows
from entities import switch
from entities.models import Entity
from swwbot_site.lib import clock
from tests import build
from tests.verbs.conversations.desk import Desk, say

Feeds = Callable[..., Chat]


def talks() -> dict[str, str]:
    return dict(Message.objects.values_list("remote_id", "conversation"))


def quiet() -> Quirks:
    return Quirks(race_ms=0.0, rate_limit=False)


def scene(message: Message, windows: Windows | None = None) -> Scene:
    with transaction.atomic():
        return analyse(message, message.feed, company.cast(), clock.now(), windows)


def texts(message: Message) -> list[str]:
    return [line.text for line in scene(message).window]


def test_a_message_to_an_entity_is_private_and_everything_else_belongs_to_its_domain(chat: Feeds, desk: Desk) -> None:
    feed = chat("kv-patch", quirks=quiet())
    build.entity(slug="ping", username="Ping", color="rgb(1, 2, 3)")
    ask = {"entity": "ping", "processed": True}
    say(feed, "public", id="public", username="Ann", color="100100100")
    say(feed, "elsewhere", id="elsewhere", domain="other.example")
    say(feed, "private", id="private", username="Ann", color="100100100", botParams=ask)
    say(feed, "the same", id="same", username="Ann", color="rgb(100, 100, 100)", botParams=ask | {"ais": "Ping:001002003"})
    say(feed, "another identity", id="masked", username="Ann", color="100100100", botParams=ask | {"ais": "Mask:random"})
    say(feed, "another human", id="other", username="Ann", color="200100100", botParams=ask)
    say(feed, "nobody", id="nobody", username="Ann", color="100100100", botParams={"entity": "gone", "processed": True})
    desk.poll()
    found = talks()
    assert found["public"] == ""
    assert found["elsewhere"] == "other.example"
    assert found["private"] == found["same"]
    private = {found[name] for name in ("private", "masked", "other", "nobody")}
    assert len(private) == 4
    assert all(is_private(key) for key in private)


def test_what_a_bot_replies_belongs_to_what_it_replies_to_however_they_arrive(chat: Feeds, desk: Desk) -> None:
    feed = chat("kv-patch", quirks=quiet())
    build.entity(slug="ping", username="Ping")
    now = clock.millis(clock.now())
    asked: dict[str, Any] = {"entity": "ping", "processed": True}
    ai = {"message-type": "AI", "username": "Stranger"}
    say(feed, "early", id="early", timestamp=now - 5000, replyTo="asked", **ai)
    say(feed, "asked", id="asked", timestamp=now - 4000, botParams=asked)
    say(feed, "late", id="late", timestamp=now - 3000, replyTo="asked", **ai)
    say(feed, "to the late one", id="chain", timestamp=now - 2000, replyTo="late", **ai)
    say(feed, "to nothing", id="lost", timestamp=now - 1900, replyTo="gone", **ai)
    say(feed, "round", id="round", timestamp=now - 1800, replyTo="about", **ai)
    say(feed, "about", id="about", timestamp=now - 1700, replyTo="round", **ai)
    say(feed, "a human", id="human", timestamp=now - 1600, replyTo="asked")
    desk.poll()
    say(feed, "later still", id="later", timestamp=now - 1000, replyTo="chain", **ai)
    desk.poll()
    found = talks()
    assert is_private(found["asked"])
    assert {found[name] for name in ("early", "late", "chain", "later")} == {found["asked"]}
    assert {found[name] for name in ("lost", "round", "about", "human")} == {""}


def test_our_own_answer_belongs_to_what_it_answers_even_where_the_feed_forgets_it(chat: Feeds, desk: Desk) -> None:
    feed = chat("kv", quirks=quiet())
    row = Feed.objects.get()
    asked = build.message(feed=row, remote_id="asked", conversation="private:a:b:c:d", decided_at=clock.now())
    build.reply(message=asked, state="posted", outgoing_id="ours")
    say(feed, "our answer", id="ours", username="Ping", **{"message-type": "AI"})
    desk.poll()
    assert talks()["ours"] == "private:a:b:c:d"
    assert Message.objects.get(remote_id="ours").own


@pytest.mark.django_db
def test_private_and_public_never_see_each_other_and_nobody_evicts_anybody() -> None:
    feed = build.feed(detected="kv")
    now = clock.millis(clock.now())
    key = "private:Ann:1:Ping:2"
    build.entity(messages_to_read=50)
    for n in range(10):
        build.message(feed=feed, text=f"private {n}", conversation=key, timestamp=now - 60_000 + n, decided_at=clock.now())
    for n in range(200):
        build.message(feed=feed, text=f"public {n}", timestamp=now - 50_000 + n, decided_at=clock.now())
    mine = build.message(feed=feed, text="private last", conversation=key, timestamp=now)
    theirs = build.message(feed=feed, text="public last", timestamp=now)
    assert texts(mine) == [f"private {n}" for n in range(10)]
    assert texts(theirs) == [f"public {n}" for n in range(200 - LEAST, 200)]
    elsewhere = build.message(feed=build.feed(detected="kv"), timestamp=now)
    assert texts(elsewhere) == []


@pytest.mark.django_db
def test_a_window_ends_at_a_long_silence_and_shows_as_many_lines_as_are_wanted() -> None:
    feed = build.feed(detected="kv", window_gap_s=600.0)
    now = clock.now()

    def said(text: str, ago_s: float, **over: Any) -> Message:
        born = now - timedelta(seconds=ago_s)
        return build.message(feed=feed, text=text, timestamp=clock.millis(born), born_at=born, **over)

    said("long ago", 2000)
    for n in range(100):
        said(f"n{n}", 500 - n)
    asked = said("now", 1, bot_params={"nom": 80})
    assert len(texts(asked)) == 80
    asked.bot_params = {"nom": "ALL"}
    assert texts(asked) == [f"n{n}" for n in range(100)]
    asked.bot_params = {"nom": 2}
    assert len(texts(asked)) == LEAST


@pytest.mark.django_db
@pytest.mark.parametrize("most", [10**9, 1])
def test_windows_of_a_batch_are_those_of_each_message_alone(most: int) -> None:
    dice = Random(1)
    feed = build.feed(detected="kv")
    base = clock.millis(clock.now())
    rows = [
        build.message(
            feed=feed, conversation=dice.choice(["", "b"]), timestamp=base + dice.choice([0, 0, 1, 5, 10**9, -(10**9), dice.randrange(100)])
        )
        for _ in range(60)
    ]
    batch = Windows(((row.feed_id, row.conversation) for row in rows[20:]), most)
    for row in rows[20:]:
        alone = Windows().before(row, 7)
        assert batch.before(row, 7) == alone
        assert len(batch._read) <= (2 if most > 1 else 1)
        before = [one for one in rows if one.conversation == row.conversation and (one.timestamp, one.pk) < (row.timestamp, row.pk)]
        expected = sorted(before, key=lambda one: (one.timestamp, one.pk))[-7:]
        assert [one.id for one in alone] == [one.pk for one in expected]


@pytest.mark.django_db
def test_what_is_found_in_a_message() -> None:
    build.entity(slug="plato", username="Plato", aliases=["the philosopher"], interests=["caves"], triggers=["!idea"])
    build.entity(slug="off", username="Kant", enabled=False)
    feed = build.feed(detected="kv")
    now = clock.now()
    for n, (who, text) in enumerate([("Bob", "nice weather"), ("Ann", "nice weather indeed"), ("Bob", "yes")]):
        born = now - timedelta(seconds=60 - n * 20)
        build.message(feed=feed, username=who, text=text, timestamp=clock.millis(born), born_at=born)
    message = build.message(
        feed=feed, text="The Philosopher, does Kant like caves or weather? !idea", timestamp=clock.millis(now), born_at=now
    )
    signals = scene(message).signals
    assert signals.question
    assert signals.why_question == "?"
    assert [(call.slug, call.word) for call in signals.mentions] == [("plato", "the philosopher"), ("off", "Kant")]
    assert [call.slug for call in signals.triggers] == ["plato"]
    weights = dict(signals.topics)
    assert weights["caves"] > weights["weather"] > 0
    assert set(signals.interests) == {"plato"}
    assert signals.activity == pytest.approx(4, rel=0.01)
    assert signals.silence_s == pytest.approx(20, abs=0.1)
    assert signals.participants == ("Bob", "Ann")
    assert signals.company == ("Bob",)
    assert signals.conversation == ""


@pytest.mark.django_db
def test_a_first_message_has_nothing_before_it() -> None:
    signals = scene(build.message(feed=build.feed(detected="kv"))).signals
    assert signals.silence_s is None
    assert signals.participants == signals.company == ()
    assert signals.activity == 1.0


@pytest.mark.django_db
def test_the_cast_is_kept_until_a_row_changes_however_it_changes() -> None:
    build.entity(slug="a", username="Ann")
    first = company.cast()
    assert company.cast() is first
    Entity.objects.update(username="Anna")
    assert [call.slug for call in company.cast().called("anna")] == ["a"]
    Entity.objects.update(username="Anne")
    assert company.cast().called("anna") == ()
    switch.disable(Entity.objects.values_list("pk", flat=True), "tired")
    assert not company.cast().by_slug["a"].enabled
    build.entity(slug="b")
    assert set(company.cast().by_slug) == {"a", "b"}
    Entity.objects.filter(slug="a").delete()
    assert set(company.cast().by_slug) == {"b"}
    assert company.cast() is company.cast()


def test_a_message_that_cannot_be_decided_takes_none_of_its_batch_with_it(transactional_db: None) -> None:
    feed = build.feed()
    build.entity(slug="ping", username="Ping")
    for n in range(25):
        build.message(feed=feed, remote_id=f"m-{n}", text="Ping?" if n == 7 else "hm", timestamp=clock.millis(clock.now()) + n)
    Message.objects.filter(remote_id__in=["m-3", "m-12"]).update(bot_params=["no mapping"])
    cycle.judge(clock.now())
    assert set(Message.objects.filter(decided_at__isnull=True).values_list("remote_id", flat=True)) == {"m-3", "m-12"}
    assert Reply.objects.filter(message__remote_id="m-7").count() == 1


def test_messages_of_several_feeds_are_decided_each_in_its_order(transactional_db: None) -> None:
    feeds = [build.feed(), build.feed()]
    build.entity(slug="ping", username="Ping", response_chance=0.0)
    base = clock.millis(clock.now())
    for n in range(30):
        build.message(feed=feeds[n % 2], text="Ping?" if n % 5 == 0 else "hm", timestamp=base + n)
    cycle.judge(clock.now())
    assert not Message.objects.filter(decided_at__isnull=True).exists()
    assert Reply.objects.count() == 6
    for feed in feeds:
        order = Reply.objects.filter(message__feed=feed).order_by("id").values_list("message__timestamp", flat=True)
        assert list(order) == sorted(order)
