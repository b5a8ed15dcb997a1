"""Deciding on rows: who answers what, whatever stands in them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from conversations import cycle, weighing
from conversations import decide as deciding
from conversations.models import ConversationPolicy, Feed, Message, Reply, Room
from entities.models import Entity, Permit
from swwbot_site.lib import clock, hooks
from swwbot_site.models import Event
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def untold() -> None:
    deciding._told.clear()
    weighing._told.clear()


def speaker(slug: str, **over: Any) -> Entity:
    """One that answers everything by chance, also bots."""
    values: dict[str, Any] = {
        "slug": slug,
        "username": slug.title(),
        "model": "maker/small",
        "responds_to_all_ai": True,
        "max_age_s": 10_000_000,
    }
    return build.entity(**values | over)


def hear(feed: Feed, text: str = "Nice weather.", at: datetime | None = None, **over: Any) -> Message:
    """A message that arrives."""
    moment = at or clock.now()
    values: dict[str, Any] = {"feed": feed, "text": text, "received_at": moment, "born_at": moment, "timestamp": clock.millis(moment)}
    return build.message(**values | over)


def stranger(feed: Feed, text: str = "I am a bot.", at: datetime | None = None, **over: Any) -> Message:
    return hear(feed, text, at, **{"kind": "AI", "username": "Stranger"} | over)


def judge(message: Message, at: datetime | None = None) -> dict[str, Any]:
    cycle.judge(at or clock.now())
    message.refresh_from_db()
    return message.verdict


def post(feed: Feed, at: datetime, **over: Any) -> int:
    """Everything under way is posted, and read in the feed."""
    replies = list(Reply.objects.filter(state="waiting").order_by("id"))
    for reply in replies:
        ident = f"out-{reply.pk}"
        Reply.objects.filter(pk=reply.pk).update(
            state="posted", outgoing_id=ident, outgoing_timestamp=1, accepted_at=at, ended_at=at, ready_at=at, text="So it is."
        )
        stranger(feed, "So it is.", at, remote_id=ident, username=reply.username, own=True, conversation=reply.conversation, **over)
    Feed.objects.filter(pk=feed.pk).update(polled_at=at)
    return len(replies)


# --- the original's failures -------------------------------------------------------------------------------------
def test_who_is_typing_and_names_two_bots_gets_one_answer_of_each_in_a_minute() -> None:
    """The original answered "typing" 17 times in 60 s, because of the "ping" in it, and because the message stayed on screen."""
    feed = build.feed(url="http://typing.example/api")
    for slug in ("ping", "plato", "kant"):
        build.entity(
            slug=slug, username=slug.title(), model="maker/small", response_chance=0.0, triggers=["ping"] if slug == "ping" else []
        )
    start = clock.now()
    hear(feed, "I was typing to Plato and Kant, Plato!", start)
    for second in range(0, 60, 5):
        now = start + timedelta(seconds=second)
        cycle.judge(now)
        post(feed, now)
    assert Counter(Reply.objects.values_list("username", flat=True)) == {"Plato": 1, "Kant": 1}


@pytest.mark.parametrize("voices", [1, 2])
def test_three_questions_in_75_seconds_get_each_one_answer(voices: int) -> None:
    feed = build.feed(max_repliers=1)
    for n in range(voices):
        build.entity(slug=f"e{n}", username=f"Name{n}", model="maker/small", response_chance=0.6)
    start = clock.now()
    for second in range(0, 90, 5):
        now = start + timedelta(seconds=second)
        if second in (0, 35, 75):
            hear(feed, f"What is {second}?", now)
        cycle.judge(now)
        post(feed, now)
    assert sorted(Counter(Reply.objects.values_list("message__text", flat=True)).values()) == [1, 1, 1]


# --- bots among themselves ---------------------------------------------------------------------------------------
def talk(feed: Feed, start: datetime, minutes: int, **over: Any) -> int:
    """So many minutes, a round every five seconds; how many posts there were."""
    posts = 0
    for second in range(0, 60 * minutes, 5):
        now = start + timedelta(seconds=second)
        cycle.judge(now)
        posts += post(feed, now + timedelta(seconds=1), **over)
    return posts


@pytest.mark.parametrize(("decay", "most"), [(1.0, 6), (0.0, 1)])
def test_two_that_answer_all_bots_stop_at_the_cap_and_only_a_human_begins_another_run(decay: float, most: int) -> None:
    feed = build.feed(max_bot_run=6, bot_decay=decay)
    first, _ = speaker("one"), speaker("two")
    start = clock.now()
    build.reply(entity=first, message=hear(feed, "Hello?", start, decided_at=start), mode="directed", permit=None)
    assert talk(feed, start, 10) == most
    assert talk(feed, start + timedelta(days=30), 1) == 0
    stranger(feed, "And now?", start + timedelta(days=31))
    assert talk(feed, start + timedelta(days=31), 1) == 0
    hear(feed, "One, go on!", start + timedelta(days=32))
    assert talk(feed, start + timedelta(days=32), 10) == most


def test_a_run_is_counted_by_arrival_whatever_the_clocks_of_bots_say() -> None:
    feed = build.feed(max_bot_run=4, bot_decay=1.0)
    speaker("one"), speaker("two")
    start = clock.now()
    for odd in (1, 8_640_000_000_000, 1, clock.millis(start) - 86_400_000):
        stranger(feed, f"It is {odd}.", start, timestamp=odd)
    assert talk(feed, start, 1, timestamp=5) == 0
    assert "bots have spoken 4 times" in Message.objects.order_by("id")[0].verdict["why"]


def test_ten_that_would_answer_at_once_stay_below_the_cap_called_by_name_or_not() -> None:
    for text in ("I am a bot.", " ".join(f"Name{n}" for n in range(10))):
        feed = build.feed(max_bot_run=6, bot_decay=1.0, max_repliers=10)
        if not Entity.objects.exists():
            for n in range(10):
                speaker(f"name{n}")
        start = clock.now()
        verdict = judge(stranger(feed, text, start))
        assert len(verdict["yes"]) == 5
        again = judge(stranger(feed, text, start))
        assert again["yes"] == []
        assert "5 answers are under way" in str(again["no"])


def test_a_thousand_bot_messages_change_nothing() -> None:
    feed = build.feed(max_bot_run=3, bot_decay=1.0)
    speaker("one", messages_to_read=1)
    start = clock.now()
    hear(feed, "Hello", start, decided_at=start)
    rows = [
        Message(feed=feed, remote_id=f"b{n}", raw_id=f"b{n}", timestamp=n, kind="AI", username=f"B{n % 7}", text="…", domain="saywhatwant.app",
                received_at=start, born_at=start, decided_at=start)
        for n in range(1000)
    ]  # fmt: skip
    Message.objects.bulk_create(rows)
    assert judge(stranger(feed, "One, still there?", start, conversation=rows[0].conversation))["yes"] == []


def test_conversations_have_runs_of_their_own() -> None:
    feed = build.feed(max_bot_run=1, bot_decay=1.0)
    speaker("one")
    now = clock.now()
    stranger(feed, at=now, conversation="a", decided_at=now)
    assert judge(stranger(feed, at=now, conversation="a"))["yes"] == []
    assert judge(stranger(feed, at=now, conversation="b"))["yes"] == []
    hear(feed, at=now, conversation="c", decided_at=now)
    Feed.objects.update(max_bot_run=2)
    assert judge(stranger(feed, at=now, conversation="c"))["yes"] == ["one"]


def test_by_chance_bots_are_answered_only_while_a_human_is_there_if_the_policy_wants_it() -> None:
    feed = build.feed(bot_decay=1.0)
    speaker("one")
    ConversationPolicy.objects.create(require_human_s=60)
    start = clock.now()
    assert "no human" in judge(stranger(feed, at=start), start)["why"]
    hear(feed, at=start, decided_at=start)
    assert judge(stranger(feed, at=start), start + timedelta(seconds=59))["yes"] == ["one"]
    assert "no human" in judge(stranger(feed, at=start), start + timedelta(seconds=120))["why"]


# --- whose it is -------------------------------------------------------------------------------------------------
def test_an_entity_never_answers_an_identity_that_it_has_posted_under() -> None:
    feed = build.feed(bot_decay=1.0, max_repliers=5)
    one, _ = speaker("one"), speaker("two")
    old = clock.now() - timedelta(days=100)
    asked = hear(feed, "Hi", old, decided_at=old)
    build.reply(entity=one, message=asked, state="posted", username="Oracle", outgoing_id="out-1", decided_at=old)
    assert judge(stranger(feed, "One and Two!", username="Oracle"))["yes"] == ["two"]
    assert judge(stranger(feed, "One and Two!", username="Oracle", remote_id="out-1", own=True))["yes"] == ["two"]
    assert judge(stranger(feed, "One and Two!", username="One"))["yes"] == ["two"]
    assert judge(hear(feed, "One and Two!", username="One"))["yes"] == ["one", "two"], "a human may have any name"


FIELDS = [
    ({}, "human", True), ({"responds_to_humans": False}, "human", False), ({"responds_to_humans": False}, "Stranger", True),
    ({"responds_to_all_ai": False}, "Stranger", False), ({"responds_to_all_ai": False}, "human", True),
    ({"responds_to_all_ai": False, "responds_to_these_ai": ["other"]}, "Other", True),
    ({"responds_to_all_ai": False, "responds_to_these_ai": ["other"]}, "Stranger", False),
    ({"responds_to_all_ai": True, "responds_to_these_ai": ["other"]}, "Stranger", True),
    ({"responds_to_all_ai": False, "responds_to_these_ai": ["wonderer"]}, "Other", False),
    ({"response_chance": 0.0}, "human", False), ({"enabled": False}, "human", False), ({"max_age_s": 1}, "human", False),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "author", "answered"), FIELDS)
def test_every_setting_of_whom_it_answers_has_its_effect(setting: Mapping[str, Any], author: str, answered: bool) -> None:
    feed = build.feed(bot_decay=1.0)
    speaker("one", **setting)
    speaker("other", response_chance=0.0, responds_to_all_ai=False)
    at = clock.now() - timedelta(seconds=30)
    message = hear(feed, at=at) if author == "human" else stranger(feed, at=at, username=author)
    assert judge(message)["yes"] == (["one"] if answered else [])


# --- turns -------------------------------------------------------------------------------------------------------
def test_messages_that_waited_together_get_one_answer_by_chance_of_each_and_all_that_were_asked_for() -> None:
    feed = build.feed(max_repliers=5)
    for slug in ("one", "two"):
        speaker(slug)
    at = clock.now()
    messages = [hear(feed, f"Number {n}.", at) for n in range(30)] + [hear(feed, "One?", at)]
    cycle.judge(at)
    answers = Counter(Reply.objects.values_list("entity__slug", "mode"))
    assert answers == {("one", "ambient"): 1, ("two", "ambient"): 1, ("one", "directed"): 1}
    messages[5].refresh_from_db()
    assert "together" in messages[5].verdict["why"]


def test_who_has_just_spoken_lets_another_one_speak() -> None:
    feed = build.feed(max_repliers=1)
    for slug in ("one", "two"):
        speaker(slug, responds_to_all_ai=False)
    at = clock.now()
    who = []
    for n in range(6):
        now = at + timedelta(seconds=40 * n)
        who += judge(hear(feed, f"Number {n}.", now), now)["yes"]
        post(feed, now + timedelta(seconds=1))
    assert who in (["one", "two"] * 3, ["two", "one"] * 3)


# --- rooms -------------------------------------------------------------------------------------------------------
def test_a_room_has_members_and_settings_of_its_own() -> None:
    feed = build.feed(max_repliers=3, max_bot_run=9, bot_decay=1.0)
    one, two, _ = (speaker(slug, responds_to_all_ai=slug == "three") for slug in ("one", "two", "three"))
    room = Room.objects.create(feed=feed, domain="library.example", max_repliers=1, strategy="round-robin", max_bot_run=1)
    room.entities.add(one, two)
    here = {"domain": "library.example", "conversation": "library.example"}
    at = clock.now()
    assert judge(hear(feed, at=at, **here), at)["yes"] == ["one"]
    post(feed, at + timedelta(seconds=1), domain="library.example")
    later = at + timedelta(seconds=2)
    hear(feed, at=later, remote_id="later", **here)
    cycle.judge(later)
    verdict = Message.objects.get(remote_id="later").verdict
    assert verdict["yes"] == ["two"]
    assert verdict["facts"]["strategy"] == "round-robin"
    assert judge(hear(feed, "Three?", **here))["no"]["three"] == "may not speak in this room"
    room.entities.clear()
    assert judge(stranger(feed, "Three?", **here))["yes"] == [], "its run of bots is shorter than the feed's"
    elsewhere = judge(hear(feed, domain="saywhatwant.app", conversation="saywhatwant.app"))
    assert len(elsewhere["yes"]) == 3
    assert judge(hear(feed, "Three?", **here))["yes"] == ["three"]


def test_the_one_who_is_refused_by_its_limits_makes_room_for_the_next() -> None:
    feed = build.feed(max_repliers=1, strategy="round-robin")
    one = speaker("one")
    speaker("two")
    build.limit(entity=one, kind="hour", amount=1)
    build.permit(entity=one, state="spent")
    message = hear(feed)
    verdict = judge(message)
    assert verdict["yes"] == ["two"]
    assert verdict["no"]["one"].startswith("limit reached")
    assert sum(verdict["noes"].values()) + len(verdict["yes"]) == verdict["considered"] == 2


# --- plugins and settings ----------------------------------------------------------------------------------------
@pytest.fixture
def plugin() -> Iterator[Any]:
    """Registers an object as a plugin."""
    taken: list[Any] = []

    def register(given: Any) -> None:
        class Plugin:
            @hooks.hookimpl
            def weight(self, scene: Any, cast: Any) -> Any:
                return given(scene, cast)

        taken.append(Plugin())
        hooks.manager.register(taken[-1], name=f"plugin-{len(taken)}")

    yield register
    for each in taken:
        hooks.manager.unregister(each)


def test_a_plugins_rule_weighs_and_stands_in_the_verdict(plugin: Any) -> None:
    plugin(lambda scene, cast: {"shy": {"one": 0.0}, "loud": {"*": 3.0}})
    plugin(lambda scene, cast: None)
    speaker("one"), speaker("two", response_chance=0.5)
    assert judge(hear(build.feed()))["yes"] == ["two"]
    kept = Reply.objects.get().verdict
    assert kept["chance"] == 1.0
    assert kept["factors"] == {"loud": 3.0, "silence": 1.5}
    assert kept["rules"] == ["chance 0.5", "silence ×1.5", "loud ×3"]
    assert kept["dice"] < 1


@pytest.mark.parametrize("given", [1 / 3, {"x": {"one": float("nan")}}, {"x": {"one": -1}}, {"x": 3}, {"x": {"one": True}}, None])
def test_a_plugin_that_fails_is_told_once_and_left_out(plugin: Any, given: Any) -> None:
    def bad(scene: Any, cast: Any) -> Any:
        if given is None:
            raise RuntimeError("no idea")
        return given

    plugin(bad)
    speaker("one", response_chance=0.5)
    feed = build.feed()
    verdicts = [judge(hear(feed, f"Is it {n}?", conversation=f"c{n}")) for n in range(3)]
    assert [verdict["yes"] for verdict in verdicts] == [["one"]] * 3
    assert list(verdicts[0]["facts"]["failed plugins"]) == ["plugin-1"]
    assert Event.objects.filter(kind="plugin.failed", level="error").count() == 1
    assert "plugin-1 failed in weight" in Event.objects.get(kind="plugin.failed").text


def test_an_unknown_strategy_is_told_once_and_who_is_called_answers_all_the_same() -> None:
    feed = build.feed(strategy="loudest")
    speaker("one")
    assert [judge(hear(feed, conversation=f"c{n}"))["yes"] for n in range(3)] == [[], [], []]
    assert judge(hear(feed, "One?"))["yes"] == ["one"]
    event = Event.objects.get(kind="feed.misconfigured")
    assert "no reply strategy 'loudest'" in event.text
    assert "natural" in event.text


def test_a_request_that_cannot_be_put_together_fails_with_its_reason_and_costs_no_post() -> None:
    feed = build.feed()
    speaker("one", system_prompt="word " * 200_000)
    judge(hear(feed, "One?"))
    reply = Reply.objects.get()
    assert reply.state == "failed"
    assert "context" in reply.reason
    assert Permit.objects.get().state == "refunded"
    assert Event.objects.get(kind="reply.failed").level == "error"


# --- keeping and replaying ---------------------------------------------------------------------------------------
def test_a_decision_made_again_is_the_same() -> None:
    feed = build.feed(url="http://replay.example/api", max_repliers=2, strategy="weighted")
    for n in range(20):
        interests = ["weather"] if n % 2 else []
        speaker(f"e{n:02d}", response_chance=0.3, weight=1 + n % 3, interests=interests, responds_to_all_ai=False)
    at = clock.now()
    runs = []
    for _ in range(2):
        Reply.objects.all().delete()
        Message.objects.all().delete()
        for n in range(6):
            now = at + timedelta(seconds=30 * n)
            hear(feed, f"How is the weather, number {n}?", now, remote_id=f"m-{n}")
            cycle.judge(now)
            post(feed, now + timedelta(seconds=1))
        verdicts = Message.objects.filter(own=False).order_by("timestamp").values_list("remote_id", "verdict")
        replies = Reply.objects.order_by("message__timestamp", "entity__slug")
        runs.append(([*verdicts], [{k: v for k, v in reply.verdict.items() if k != "left"} for reply in replies]))
    assert runs[0] == runs[1]
    assert len(runs[0][1]) > 6


def test_the_verdict_of_an_answer_says_why() -> None:
    feed = build.feed()
    one = speaker("one", response_chance=0.9)
    build.limit(entity=one, kind="hour", amount=5)
    judge(hear(feed, "How are you?"))
    kept = Reply.objects.get().verdict
    assert kept["mode"] == "ambient"
    assert kept["rules"] == ["chance 0.9", "question ×2", "silence ×1.5"]
    assert kept["pick"].startswith("natural: luck 0.")
    assert kept["left"] == [{"rule": "5 an hour", "left": 5}]
