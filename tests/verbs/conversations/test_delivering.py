"""Steps 10 to 12 against real feeds: every answer once, whatever the feed does to it."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from conversations import admit, clean, post
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.feed.values import Accepted
from conversations.logic.cadence import ATTEMPTS
from conversations.logic.delivery import LATE
from conversations.models import Feed, Message, Reply
from entities.models import Entity, Permit
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build
from tests.harness import Background, until
from tests.verbs.conversations.desk import Desk, answers, quirks, say, shown, states

GENERATIONS = ("kv", "kv-patch", "kv-queue", "do")
every = pytest.mark.parametrize("generation", GENERATIONS)
Feeds = Callable[..., Chat]


@pytest.fixture
def feed(request: pytest.FixtureRequest, chat: Feeds) -> Chat:
    """A feed without losses; its generation is the parameter."""
    generation = getattr(request, "param", "do")
    return chat(generation, quirks=Quirks(race_ms=0.0, rate_limit=False), row={"detected": generation, "lost_after_s": 30.0})


def ready(n: int = 1, **over: Any) -> list[Reply]:
    """Answers of one persona that wait to be posted, each with its permit."""
    who = over.pop("entity", None) or build.entity(username="Ping", color="128000255")
    made = []
    for _ in range(n):
        message = build.message(feed=Feed.objects.get(), decided_at=clock.now())
        made.append(build.reply(**{"message": message, "entity": who, "state": "ready", "permit": build.permit(entity=who)} | over))
    return made


def on(generation: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("feed", [generation], indirect=True)


anywhere = pytest.mark.parametrize("feed", GENERATIONS, indirect=True)
copying = pytest.mark.parametrize("feed", GENERATIONS[:3], indirect=True)


@anywhere
def test_an_answer_is_posted_confirmed_and_its_permit_spent(feed: Chat, desk: Desk) -> None:
    (reply,) = ready()
    assert desk.post() == [None]
    assert list(states()) == ["posting"]
    assert desk.confirm() == 1
    reply.refresh_from_db()
    assert reply.state == "posted"
    assert reply.permit is not None
    assert (reply.permit.state, reply.permit.settled_at) == ("spent", reply.accepted_at)
    (shown,) = answers(feed)
    assert (shown["id"], shown["timestamp"], shown["text"], shown["username"]) == (
        reply.outgoing_id, reply.outgoing_timestamp, reply.text, "Ping",
    )  # fmt: skip
    assert shown.get("replyTo", reply.message.remote_id) == reply.message.remote_id
    assert desk.poll() == 1
    assert Message.objects.get(remote_id=reply.outgoing_id).own
    assert Event.objects.filter(kind="reply.posted").count() == 1


@copying
def test_a_lost_write_is_posted_again_with_the_same_id_and_time(feed: Chat, desk: Desk) -> None:
    ready()
    quirks(feed, lose=1)
    desk.post()
    assert desk.confirm() == 0
    first = Reply.objects.get()
    assert first.state == "posting"
    Reply.objects.update(accepted_at=clock.now() - timedelta(seconds=31))
    assert desk.confirm() == 0
    assert desk.post() == [None]
    assert desk.confirm() == 1
    (shown,) = answers(feed)
    assert (shown["id"], shown["timestamp"]) == (first.outgoing_id, first.outgoing_timestamp)
    assert Event.objects.filter(kind="reply.lost").count() == 1


@anywhere
@pytest.mark.parametrize("quirk", ["drop_after", "hang_after"])
def test_a_post_whose_answer_is_lost_is_never_doubled(feed: Chat, quirk: str, desk: Desk) -> None:
    ready()
    quirks(feed, method="POST", **{quirk: 1})
    with desk.impatient() if quirk == "hang_after" else nullcontext():
        (error,) = desk.post()
    assert error is not None
    desk.post()
    assert desk.confirm() == 1
    assert len(answers(feed)) == 1
    assert feed.counts["POST /api/comments 200"] == 1


@copying
def test_a_post_that_shows_late_is_waited_for_and_not_doubled(feed: Chat, desk: Desk) -> None:
    """A KV backend shows a write up to a minute late; who does not know whether it took one must wait so long."""
    ready()
    quirks(feed, method="POST", drop_after=1, propagation_ms=600_000.0)
    desk.post()
    for _ in range(3):
        assert desk.post() == []
        assert desk.confirm() == 0
    quirks(feed, propagation_ms=0.0)
    assert desk.confirm() == 1
    assert len(answers(feed)) == 1


@anywhere
@pytest.mark.parametrize("quirk", ["drop_before", "fail", "html"])
def test_a_post_that_did_not_go_is_posted_later(feed: Chat, quirk: str, desk: Desk) -> None:
    ready()
    quirks(feed, method="POST", **{quirk: 1})
    (error,) = desk.post()
    assert error is not None
    Reply.objects.filter(accepted_at__isnull=False).update(accepted_at=clock.now() - timedelta(seconds=31))
    desk.confirm()
    desk.post()
    assert desk.confirm() == 1
    assert len(answers(feed)) == 1


@copying
def test_an_engine_that_died_while_posting_leaves_no_double(feed: Chat, desk: Desk) -> None:
    ready()
    (letter,) = post.claim(desk.owner + 1, clock.now() - timedelta(seconds=10))
    Reply.objects.update(lease_until=clock.now() + timedelta(seconds=5))
    assert isinstance(desk.hand(letter, desk.owner + 1), Accepted)
    Reply.objects.update(lease_until=clock.now() - timedelta(seconds=1))
    quirks(feed, propagation_ms=600_000.0)
    assert desk.post() == []
    assert desk.confirm() == 0
    assert desk.post() == []
    quirks(feed, propagation_ms=0.0)
    assert desk.confirm() == 1
    assert len(answers(feed)) == 1


@on("do")
def test_an_engine_that_stops_while_posting_hands_over_at_once(feed: Chat, desk: Desk) -> None:
    ready()
    (letter,) = post.claim(desk.owner + 1, clock.now())
    assert desk.post() == []
    post.release(desk.owner + 1)
    assert desk.post() == [None]
    assert not post.accepted(letter, Accepted(id=letter.outgoing.id, duplicate=False, timestamp=letter.outgoing.timestamp), desk.owner + 1)
    assert desk.confirm() == 1
    assert len(answers(feed)) == 1


@anywhere
def test_a_429_silences_the_feed_and_does_not_count(feed: Chat, desk: Desk) -> None:
    ready(2)
    quirks(feed, method="POST", too_many=1, retry_after_s=60)
    desk.post()
    row = Feed.objects.get()
    assert row.post_at is not None
    assert 50 < (row.post_at - clock.now()).total_seconds() <= 61
    assert post.claim(desk.owner, clock.now()) == []
    while desk.post():
        continue
    desk.confirm()
    assert sorted(states()) == ["posted", "posted"]
    assert set(Reply.objects.values_list("attempts", flat=True)) == {1}
    assert len(answers(feed)) == 2


@on("kv")
def test_september_counts_ten_posts_and_then_we_are_silent_by_ourselves(feed: Chat, desk: Desk) -> None:
    Feed.objects.update(exempt=False)
    ready(12)
    quirks(feed, rate_limit=True)
    desk.http.headers["X-Forwarded-For"] = "10.1.1.1"
    for _ in range(10):
        assert desk.post() == [None]
    assert desk.post() == []
    row = Feed.objects.get()
    assert row.post_at is not None
    assert 50 < (row.post_at - clock.now()).total_seconds() <= 61
    assert len(answers(feed)) == 10
    assert feed.counts["POST /api/comments 429"] == 0


@on("kv")
def test_september_exempts_its_own_host(feed: Chat, desk: Desk) -> None:
    Feed.objects.update(origin="https://ai.saywhatwant.app")
    ready(12)
    quirks(feed, rate_limit=True)
    desk.http.headers["X-Forwarded-For"] = "10.1.1.1"
    for _ in range(12):
        assert desk.post() == [None]
    assert desk.confirm() == 12


@on("kv")
def test_a_kv_feed_is_posted_to_one_at_a_time_in_its_rhythm(feed: Chat, desk: Desk) -> None:
    Feed.objects.update(post_interval_s=2.0)
    ready(3)
    now = clock.now()
    assert len(post.claim(desk.owner, now)) == 1
    assert post.claim(desk.owner, now + timedelta(seconds=1)) == []
    assert post.claim(desk.owner, now + timedelta(seconds=3)) == [], "the first is still on its way"


@on("do")
def test_the_newest_feed_takes_many_at_once(feed: Chat, desk: Desk) -> None:
    ready(10)
    assert len(desk.post()) == 8
    assert len(desk.post()) == 2
    assert desk.confirm() == 10
    assert len({one["id"] for one in answers(feed)}) == 10


@anywhere
def test_what_a_feed_would_refuse_or_change_is_not_posted(feed: Chat, desk: Desk) -> None:
    (reply,) = ready(text="x" * 300)
    (error,) = desk.post()
    assert "300 characters" in str(error)
    reply.refresh_from_db()
    assert reply.state == "failed"
    assert reply.permit is not None
    assert reply.permit.state == "refunded"
    assert answers(feed) == []


@on("do")
def test_after_twelve_attempts_it_is_a_dead_letter_and_a_person_may_send_it_again(feed: Chat, desk: Desk) -> None:
    (reply,) = ready()
    quirks(feed, fail=999)
    for _ in range(ATTEMPTS):
        assert list(states()) in (["ready"], ["posting"])
        desk.post()
    assert list(states()) == ["failed"]
    assert desk.post() == []
    assert Event.objects.filter(kind="reply.failed").count() == 1
    assert Permit.objects.get().state == "refunded"
    reply.refresh_from_db()
    assert "500" in reply.reason


@on("kv")
def test_a_feed_that_takes_a_post_and_never_shows_it_does_not_get_it_for_ever(feed: Chat, desk: Desk) -> None:
    ready()
    quirks(feed, lose=999)
    for _ in range(ATTEMPTS):
        assert desk.post() == [None]
        Reply.objects.update(accepted_at=clock.now() - timedelta(seconds=31))
        desk.confirm()
    assert desk.post() == []
    assert Reply.objects.get().reason.endswith("took it 12 times and never showed it")


@on("do")
def test_a_look_that_fails_says_nothing_about_the_post(feed: Chat, desk: Desk) -> None:
    ready()
    desk.post()
    Reply.objects.update(accepted_at=clock.now() - timedelta(seconds=100))
    quirks(feed, method="GET", fail=2)
    assert desk.confirm() == 0
    assert Reply.objects.get().accepted_at is not None
    quirks(feed, method="", fail=0)
    assert desk.confirm() == 1
    assert feed.counts["POST /api/comments 200"] == 1


def done(text: str, who: Entity, **over: Any) -> Reply:
    """An answer whose generation is done."""
    message = build.message(feed=Feed.objects.get(), decided_at=clock.now())
    values = {
        "message": message,
        "entity": who,
        "permit": build.permit(entity=who),
        "generation": build.generation(state="done", text=text),
    }
    return build.reply(**values | over)


@on("do")
def test_cleaning_makes_it_ready_or_says_why_not(feed: Chat) -> None:
    who = build.entity(username="Ping")
    texts = ["<think>hm</think>Ping: Hello.", "[SKIP]", ""]
    for text in texts:
        done(text, who)
    done("", who, generation=build.generation(state="failed", error="It crashed."))
    done("", who, generation=build.generation(state="expired", error="Too late."))
    assert clean.clean(clock.now()) == 5
    assert clean.clean(clock.now()) == 0
    assert list(Reply.objects.order_by("id").values_list("state", "text", "reason", "permit__state")) == [
        ("ready", "Hello.", "", "reserved"),
        ("dropped", "", "the persona chose to say nothing ([SKIP])", "refunded"),
        ("waiting", "", "", "reserved"),
        ("failed", "", "It crashed.", "refunded"),
        ("dropped", "", "Too late.", "refunded"),
    ]


@on("do")
@pytest.mark.parametrize("where", ["feed", "setting"])
def test_a_dry_run_decides_and_generates_and_posts_nothing(feed: Chat, where: str, desk: Desk) -> None:
    Feed.objects.update(dry_run=where == "feed")
    done("Hello.", build.entity())
    with override_settings(DRY_RUN=where == "setting"):
        clean.clean(clock.now())
        assert desk.post() == []
    reply = Reply.objects.get()
    assert (reply.state, reply.text, reply.reason) == ("dropped", "Hello.", "dry run: not posted")
    assert reply.permit is not None
    assert reply.permit.state == "spent", "a dry run keeps the same pace"
    assert answers(feed) == []


@on("do")
def test_an_answer_on_hold_waits_for_a_person(feed: Chat, desk: Desk) -> None:
    done("Hello.", build.entity(hold=True))
    clean.clean(clock.now())
    assert desk.post() == []
    assert list(states()) == ["held"]
    Reply.objects.update(state="ready")
    desk.post()
    assert desk.confirm() == 1


@pytest.mark.parametrize(
    ("wish", "username", "color"),
    [
        ("Mask:200100050", "Mask", "200100050"),
        ("Mask:rgb(1, 2, 3)", "Mask", "001002003"),
        ("A name of twenty letters:1", "A name of twenty", "1"),
    ],
)
@on("do")
def test_a_message_may_say_under_which_identity_it_is_answered(wish: str, username: str, color: str, feed: Chat, desk: Desk) -> None:
    build.entity(slug="ping", model="maker/small", response_chance=0.0)
    say(feed, botParams={"entity": "ping", "ais": wish})
    desk.listen()
    reply = Reply.objects.get()
    assert (reply.username, reply.color) == (username, color)


@on("do")
def test_a_random_colour_is_drawn_once_and_for_all(feed: Chat, desk: Desk) -> None:
    build.entity(slug="ping", model="maker/small", response_chance=0.0)
    say(feed, botParams={"entity": "ping", "ais": "Mask:random"})
    desk.listen()
    reply = Reply.objects.get()
    assert reply.username == "Mask"
    assert len(reply.color) == 9
    assert all(64 <= int(reply.color[i : i + 3]) <= 255 for i in (0, 3, 6))


@on("do")
def test_an_identity_that_is_none_is_told_and_not_answered(feed: Chat, desk: Desk) -> None:
    build.entity(slug="ping", model="maker/small", response_chance=0.0)
    say(feed, botParams={"entity": "ping", "ais": "nonsense"})
    desk.listen()
    assert Reply.objects.count() == 0
    message = Message.objects.get()
    assert message.verdict["yes"] == []
    assert message.verdict["no"] == {"ping": "ais is 'nonsense'; it must be username:colour or username:random"}
    assert Event.objects.filter(kind="message.misdirected").count() == 1
    assert desk.settle() == 1


@on("do")
def test_a_message_that_the_feed_forgot_is_settled_all_the_same(feed: Chat, desk: Desk) -> None:
    say(feed, botParams={"entity": "nobody"})
    desk.listen()
    feed.store.restart()
    assert desk.settle() == 1
    assert Message.objects.get().state == "settled"


@on("do")
def test_a_debt_that_cannot_be_settled_is_given_up_after_twelve_attempts(feed: Chat, desk: Desk) -> None:
    say(feed, botParams={"entity": "nobody"})
    desk.listen()
    quirks(feed, fail=999)
    for _ in range(ATTEMPTS):
        Message.objects.update(settle_at=clock.now())
        assert desk.settle() == 1
    assert Message.objects.get().state == "given-up"
    assert desk.settle() == 0
    assert Event.objects.filter(kind="message.unsettled").count() == 1


def test_a_persona_without_a_model_fails_with_the_reason_and_gives_its_permit_back(chat: Feeds, desk: Desk) -> None:
    feed = chat("do")
    build.policy(default_model="")
    build.entity(slug="ping", username="Ping")
    say(feed, "Ping?")
    desk.listen()
    reply = Reply.objects.get()
    assert reply.state == "failed"
    assert "names no model" in reply.reason
    assert reply.permit is not None
    assert reply.permit.state == "refunded"
    assert admit.admit(clock.now()) == 0


@on("kv")
def test_a_post_that_somebody_wrote_over_after_it_was_seen_is_posted_again_unchanged(feed: Chat, desk: Desk) -> None:
    Feed.objects.update(lost_after_s=0.1)
    (reply,) = ready()
    desk.poll()
    desk.post()
    assert desk.confirm() == 1
    before = shown(feed)
    quirks(feed, collapse=1)
    say(feed, "I write over everybody", id="late")
    assert reply.pk
    desk.poll()
    reply.refresh_from_db()
    assert reply.state == "posting"
    until(lambda: desk.confirm() == 0 and not Reply.objects.get().accepted_at, what="the post given up for lost")
    desk.post()
    assert desk.confirm() == 1
    again = [one for one in shown(feed) if one["id"] == reply.outgoing_id]
    assert len(again) == 1
    assert again[0] in before


def test_an_answer_that_could_not_be_posted_for_far_too_long_is_dropped(chat: Feeds, desk: Desk) -> None:
    chat("do", row={"detected": "do"})
    (reply,) = ready(deadline=clock.now() - 2 * LATE)
    assert desk.post() == []
    reply.refresh_from_db()
    assert (reply.state, reply.permit.state) == ("dropped", "refunded")


def test_a_feed_that_cannot_be_reached_uses_up_no_attempts(background: Background, chat: Feeds, desk: Desk) -> None:
    feed = chat("do", row={"detected": "do"})
    (reply,) = ready()
    background.run(feed.stop())
    for _ in range(15):
        desk.post()
    reply.refresh_from_db()
    assert (reply.state, reply.attempts) == ("posting", 0)
