"""A stretch decided once more: as it was, with others, and without a trace."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from cluster.models import Generation
from conversations import approve, clean, company, recorded
from conversations.feed.emulator import Emulator as Chat
from conversations.logic import archive
from conversations.logic.cast import Cast
from conversations.logic.comparison import Kind, Report, kind, reason
from conversations.logic.outcome import STUB
from conversations.logic.recording import Recording
from conversations.models import Feed, Message, Reply
from conversations.replay import Setting, replay
from entities import choose, read
from entities.logic.quota import Rule
from entities.models import Entity
from swwbot_site.lib import clock, hooks
from swwbot_site.lib.hooks import hookimpl
from swwbot_site.models import Event
from tests import build
from tests.verbs.conversations.desk import Desk, say

pytestmark = pytest.mark.django_db(transaction=True)
Feeds = Callable[..., Chat]


def recording(feed: Feed, **over: Any) -> Recording:
    """Everything of a feed."""
    return recorded.recorded(feed, *(over.get(name) for name in ("since", "until", "most")), read.rules())


def again(it: Recording, personas: Sequence[Any] | None = None, rules: read.Rules | None = None, **how: Any) -> Report:
    cast = company.cast() if personas is None else Cast.of(personas)
    return replay(it, Setting(cast=cast, rules=rules or read.rules(), **how))


def changed(**over: Mapping[str, Any]) -> list[Any]:
    """Everybody, some of them otherwise."""
    return [replace(one, **over.get(one.slug, {})) for one in company.cast().personas]


def marks() -> dict[str, tuple[int, str]]:
    """How the rows of every table lie: their number, and a sum that changes when one is written."""
    found = {}
    with connection.cursor() as cursor:
        for model in apps.get_models():
            table = model._meta.db_table
            cursor.execute(f"SELECT count(*), coalesce(sum(hashtextextended(ctid::text || ':' || xmin::text, 0)), 0)::text FROM {table}")
            found[table] = cursor.fetchone()
    return found


TEXTS = (
    "What is time?",
    "Nice weather today.",
    "Hen, what do you think?",
    "jay and crow are birds",
    "I like chess and trains",
    "hm",
    "Good morning!",
)
SAID = ("A clock would know.", "Crow, is that so?", "[SKIP]", "I was reading about chess and trains.", "Who says that?", "")


def served(random: Random, share: float = 1.0) -> None:
    """A model answers what is queued, most of it; some requests fail."""
    for one in Generation.objects.filter(state="queued").order_by("id"):
        if random.random() < share:
            values: dict[str, Any] = {
                "ended_at": clock.now(),
                "state": "done",
                "text": f"{random.choice(SAID)} {one.pk}",
                "finish_reason": "stop",
            }
            if random.random() < 0.1:
                values |= {"state": "failed", "error_code": "unreachable", "error": "Nobody answered.", "text": ""}
            Generation.objects.filter(pk=one.pk).update(**values)


def lively(feed: Chat, desk: Desk, rounds: int = 20) -> Feed:
    """A chat that was answered, every step by the engine's own hands: called and by chance, humans and bots, within limits and beyond them."""
    random = Random(7)
    for slug, chance, bots in (("owl", 0.7, True), ("crow", 0.5, True), ("hen", 0.4, False), ("jay", 0.9, False), ("tit", 0.5, False)):
        one = build.entity(
            slug=slug,
            username=slug.title(),
            model="maker/small",
            response_chance=chance,
            responds_to_all_ai=bots,
            hold=slug == "tit",
            when_limited="drop",
        )
        if slug == "jay":
            build.limit(entity=one, kind="minute", amount=3)
        if slug == "hen":
            build.limit(entity=one, kind="gap", amount=1)
    build.limit(entity=None, kind="minute", amount=50, feed=Feed.objects.get())
    build.permit(entity=one, state="spent", feed=None)
    for n in range(rounds):
        for _ in range(random.choice((0, 1, 1, 3))):
            asked = {"botParams": {"entity": "hen", "priority": 7}} if random.random() < 0.1 else {}
            say(
                feed,
                f"{random.choice(TEXTS)} {n}",
                username=f"H{n % 3}",
                domain=random.choice(("saywhatwant.app", "other.example")),
                **asked,
            )
        desk.listen()
        served(random, 0.7)
        clean.clean(clock.now())
        for held in Reply.objects.filter(state="held").order_by("id"):
            if random.random() < 0.4:
                approve.approve([held.pk], "Ann")
        if random.random() < 0.8:
            desk.post()
        if random.random() < 0.6:
            desk.confirm()
    return Feed.objects.get()


def test_what_the_engine_decided_is_decided_again_exactly_from_rows_and_from_a_file(chat: Feeds, desk: Desk) -> None:
    feed = lively(chat(row={"max_bot_run": 4, "max_repliers": 2, "bot_decay": 0.8}), desk)
    there = recording(feed)
    before = marks()
    report = again(there)
    assert before == marks()
    assert [(one.heard.line.text, kind(one), reason(one)) for one in report.outcomes if kind(one) not in (Kind.SAME, Kind.SILENT)] == []
    assert report.differences == 0
    assert report.decided == Message.objects.count()
    assert sum(report.now.values()) == Reply.objects.count() > 15
    for outcome in report.outcomes:
        now = {
            one.said.slug: (one.yes.mode.value, one.yes.chance and round(one.yes.chance, 6), one.yes.dice and round(one.yes.dice, 6))
            for one in outcome.now
        }
        assert now == {one.slug: (one.mode, one.chance, one.dice) for one in outcome.then}
        assert outcome.told["why"] == outcome.heard.why
    lines = list(archive.written(there))
    assert archive.read(lines, company.cast()) == there
    assert again(archive.read(lines, company.cast())).document() == report.document()


# --- what changes ------------------------------------------------------------------------------------------------
def hear(feed: Feed, text: str, at: datetime, **over: Any) -> Message:
    """A message that arrived and was decided at this moment, and that nobody answered."""
    values: dict[str, Any] = {"feed": feed, "text": text, "received_at": at, "born_at": at, "decided_at": at, "timestamp": clock.millis(at)}
    return build.message(**values | over)


def answered(message: Message, entity: Entity, at: datetime, text: str = "So it is.", **over: Any) -> Reply:
    """An answer that was posted a second after the decision and read a second later."""
    ident = f"out-{message.pk}-{entity.slug}"
    posted = at + timedelta(seconds=1)
    permit = build.permit(entity=entity, feed=message.feed, state="spent", reserved_at=at, settled_at=posted)
    values = {"mode": "ambient", "decided_at": at, "state": "posted", "outgoing_id": ident, "permit": permit, "text": text}
    reply = build.reply(message=message, entity=entity, accepted_at=posted, ended_at=posted, ready_at=at, **values | over)
    own = {"kind": "AI", "own": True, "remote_id": ident, "username": entity.username, "reply_to": message.remote_id}
    hear(message.feed, text, at + timedelta(seconds=2), **own)
    return reply


def test_who_is_made_to_speak_is_new_and_who_is_silenced_is_gone_with_the_post_and_what_followed_it() -> None:
    feed = build.feed(url="http://replay.example/api", max_bot_run=6)
    owl = build.entity(slug="owl", username="Owl")
    crow = build.entity(slug="crow", username="Crow", response_chance=0.0, responds_to_all_ai=True)
    at = clock.now() - timedelta(hours=1)
    asked = hear(feed, "Nice weather.", at)
    answered(asked, owl, at, "Crow, what do you say?")
    post = Message.objects.get(own=True)
    answered(post, crow, at + timedelta(seconds=2), "Nothing.", mode="directed")
    there = recording(feed)
    same = again(there)
    assert (same.differences, same.kinds[Kind.SAME]) == (0, 2)
    silenced = again(there, changed(owl={"response_chance": 0.0}))
    assert [(one.heard.line.remote_id, kind(one)) for one in silenced.outcomes] == [
        (asked.remote_id, Kind.GONE),
        (post.remote_id, Kind.GONE),
    ]
    assert reason(silenced.outcomes[1]) == "not crow: nobody posts this message now"
    assert silenced.decided == 2
    other = again(there, changed(owl={"enabled": False}, crow={"response_chance": 1.0, "responds_to_all_ai": False}))
    assert kind(other.outcomes[0]) is Kind.OTHER
    assert [one.said.slug for one in other.outcomes[0].now] == ["crow"]


def test_a_new_answer_is_a_line_of_the_later_windows_and_bots_answer_it_until_the_cap() -> None:
    feed = build.feed(url="http://replay.example/api", max_bot_run=4, bot_decay=1.0)
    at = clock.now() - timedelta(hours=1)
    for slug in ("owl", "crow"):
        build.entity(slug=slug, username=slug.title(), response_chance=0.0, responds_to_all_ai=True, enabled=True)
    first = hear(feed, "Good morning.", at)
    hear(feed, "Good night.", at + timedelta(minutes=10))
    there = recording(feed)
    assert again(there).decided == 2
    report = again(there, changed(owl={"response_chance": 1.0}, crow={"response_chance": 1.0}))
    bots = [one for one in report.outcomes if not one.heard.line.human]
    assert len(bots) == 2
    run = [one for one in report.outcomes if one.heard.arrived < at + timedelta(minutes=9)]
    assert sum(len(one.now) for one in run) == 4
    assert all(one.heard.line.text == STUB for one in bots)
    assert report.why["bots have spoken 4 times since the last human; 4 is the most"] == 2
    assert kind(report.outcomes[0]) is Kind.NEW
    assert report.outcomes[0].heard.line.remote_id == first.remote_id


def test_limits_that_are_tightened_refuse_chance_let_who_is_asked_wait_and_are_told() -> None:
    feed = build.feed(url="http://replay.example/api")
    owl = build.entity(slug="owl", username="Owl", max_age_s=300)
    at = clock.now() - timedelta(hours=1)
    for n, text in enumerate(("Nice weather.", "Indeed.", "Owl, are you there?")):
        answered(
            hear(feed, text, at + timedelta(seconds=10 * n)), owl, at + timedelta(seconds=10 * n), mode="directed" if n == 2 else "ambient"
        )
    there = recording(feed)
    assert again(there).differences == 0
    tight = read.Rules(own={"owl": (Rule(kind="minute", amount=1),)}, common=())
    report = again(there, rules=tight)
    assert [kind(one) for one in report.outcomes] == [Kind.SAME, Kind.GONE, Kind.SAME]
    waited = report.outcomes[2].now[0]
    assert waited.waited == at + timedelta(seconds=61)
    assert report.limits == {("owl", "refused: limit reached: 1 a minute"): 1, ("owl", "waited: limit reached: 1 a minute"): 1}
    elsewhere = read.Rules(own={"owl": (Rule(kind="minute", amount=1, feed_id=99, feed="another"),)}, common=())
    assert again(there, rules=elsewhere).differences == 0


def test_a_stretch_sees_what_came_before_it_and_counts_its_posts() -> None:
    feed = build.feed(url="http://replay.example/api")
    owl = build.entity(slug="owl", username="Owl")
    build.limit(entity=owl, kind="hour", amount=1)
    at = clock.now() - timedelta(hours=1)
    answered(hear(feed, "Nice weather.", at), owl, at)
    later = hear(feed, "Indeed.", at + timedelta(minutes=5), verdict={"why": "by chance"})
    report = again(recording(feed, since=at + timedelta(minutes=1)))
    assert [one.heard.line.remote_id for one in report.outcomes] == [later.remote_id]
    assert report.outcomes[0].refused == {"owl": "limit reached: 1 an hour"}
    assert report.differences == 0


def test_the_strategy_can_be_another_one() -> None:
    feed = build.feed(url="http://replay.example/api", max_repliers=1)
    for slug in ("owl", "crow"):
        build.entity(slug=slug, username=slug.title())
    at = clock.now() - timedelta(hours=1)
    for n in range(4):
        hear(feed, f"Nice weather {n}.", at + timedelta(minutes=n))
    turns = again(recording(feed), strategy="round-robin")
    assert [one.now[0].said.slug for one in turns.outcomes if one.heard.line.human] == ["crow", "owl", "crow", "owl"]
    with pytest.raises(choose.UnknownStrategy, match="There is no reply strategy 'alphabetical'"):
        again(recording(feed), strategy="alphabetical")


def test_a_plugin_that_fails_is_named_in_the_verdict_and_no_row_tells_of_it() -> None:
    feed = build.feed(url="http://replay.example/api")
    build.entity(slug="owl", username="Owl")
    hear(feed, "Nice weather.", clock.now())

    class Broken:
        @hookimpl
        def weight(self, scene: Any, cast: Any) -> Mapping[str, Mapping[str, float]]:
            Event.objects.create(at=clock.now(), kind="test", text="It must not be kept.")
            return {}

    plugin = Broken()
    hooks.manager.register(plugin, name="broken")
    try:
        report = again(recording(feed))
    finally:
        hooks.manager.unregister(plugin)
    assert "read-only transaction" in report.outcomes[0].told["facts"]["failed plugins"]["broken"]
    assert not Event.objects.exists()
