"""Whole conversations with real engines: many humans at one moment, on every generation of the feed."""

import concurrent.futures
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.models import Message, Reply
from swwbot_site.lib import clock
from tests import build
from tests.harness import engines, until

HUMANS = 29
Studios, Feeds = Callable[..., Studio], Callable[..., Chat]


def say(feed: Chat, text: str, ident: str, ip: int = 1, **body: Any) -> None:
    """Post as a human, from an address of its own; on a racing feed again until it shows, as people do."""
    sent = {"id": ident, "text": text, "username": f"H{ident[-4:]}", "timestamp": int(ident.partition("-")[0])} | body
    headers = {"X-Forwarded-For": f"10.9.0.{ip}"}
    for _ in range(200):
        assert httpx.post(f"{feed.url}/comments", json=sent, headers=headers, timeout=10, trust_env=False, verify=False).status_code == 200
        if any(one["id"] == ident for one in shown(feed)):
            return
    raise AssertionError(f"{ident} is lost again and again")


def shown(feed: Chat) -> list[dict[str, Any]]:
    """What a reader sees now."""
    payload = httpx.get(f"{feed.url}/comments", params={"after": 1, "limit": 1000}, timeout=10, trust_env=False, verify=False).json()
    return list(payload if isinstance(payload, list) else payload["messages"])


def crowd(feed: Chat, body: Callable[[int], dict[str, Any]]) -> list[str]:
    """29 humans at the same moment; their messages' ids."""
    first = clock.millis(clock.now())
    ids = [f"{first + n}-h{n:03d}" for n in range(HUMANS)]
    with concurrent.futures.ThreadPoolExecutor(HUMANS) as pool:
        for done in [pool.submit(say, feed, ident=ids[n], ip=n + 1, **body(n)) for n in range(HUMANS)]:
            done.result()
    return ids


def personas(n: int = 3) -> None:
    """Persona0 … that only speak when they are asked."""
    for i in range(n):
        build.entity(slug=f"one-{i}", username=f"Persona{i}", model=("maker/small", "maker/medium")[i % 2], response_chance=0.0)


def confirmed(n: int) -> None:
    until(lambda: Reply.objects.filter(state="posted").count() >= n, what=f"{n} confirmed answers")


def right(feed: Chat, ids: list[str]) -> None:
    """Every human has one answer, visible, by the persona that was asked, and nothing shows twice."""
    everything = shown(feed)
    twice = [ident for ident, count in Counter(one["id"] for one in everything).items() if count > 1 and ident not in ids]
    assert twice == []
    answers = {one["id"]: one["username"] for one in everything if one["message-type"] == "AI"}
    made = {reply.message.remote_id: reply for reply in Reply.objects.select_related("message")}
    assert sorted(made) == sorted(ids)
    assert Reply.objects.count() == len(answers) == len(ids)
    for n, ident in enumerate(ids):
        assert answers[made[ident].outgoing_id or ""] == f"Persona{n % 3}"


def test_29_humans_who_name_a_persona_get_29_answers_on_the_september_feed_that_loses_writes(studio: Studios, chat: Feeds) -> None:
    studio(models=("maker/small:4", "maker/medium:8"))
    feed = chat("kv", quirks=Quirks(race_ms=0.0), row={"origin": "https://ai.saywhatwant.app", "lost_after_s": 1.0})
    personas()
    ids = crowd(feed, lambda n: {"text": f"persona{n % 3}, what do you think of number {n}?"})
    feed.quirks.race_ms, feed.quirks.lose = 5.0, 3  # for what is posted from now on; people have said all they want to say
    with engines():
        confirmed(HUMANS)
    right(feed, ids)
    assert feed.quirks.lose == 0


def test_september_limits_are_kept_and_everybody_is_answered_all_the_same(studio: Studios, chat: Feeds) -> None:
    studio(models=("maker/small:4", "maker/medium:8"))
    feed = chat("kv", quirks=Quirks(race_ms=0.0, rate_max=4, rate_window_s=1.0, retry_after_s=1), row={"lost_after_s": 1.0})
    personas()
    ids = [f"{clock.millis(clock.now()) + n}-h{n:03d}" for n in range(6)]
    for n, ident in enumerate(ids):
        say(feed, f"Persona{n % 3}?", ident, ip=n + 1)
    with engines():
        confirmed(6)
    right(feed, ids)
    assert feed.counts["POST /api/comments 429"] > 0


@pytest.mark.parametrize("generation", ["kv-patch", "kv-queue"])
@pytest.mark.parametrize("many", [1, 2])
def test_29_humans_who_ask_an_entity_get_29_answers(generation: str, many: int, studio: Studios, chat: Feeds) -> None:
    studio(models=("maker/small:4", "maker/medium:8"))
    feed = chat(generation, quirks=Quirks(race_ms=0.0), row={"lost_after_s": 1.0})
    personas()
    ids = crowd(feed, lambda n: {"text": f"Number {n}?", "botParams": {"entity": f"one-{n % 3}", "processed": False, "priority": n}})
    with engines(many):
        confirmed(HUMANS)
        until(lambda: Message.objects.filter(state="settled").count() == HUMANS, what="29 settled")
    right(feed, ids)
    for one in shown(feed):
        if one["message-type"] == "human":
            assert one["botParams"]["processed"] is True
            assert Reply.objects.get(message__remote_id=one["id"]).state == "posted"


def test_who_is_typing_calls_nobody_and_who_says_ping_calls_ping(studio: Studios, chat: Feeds) -> None:
    studio(models=("maker/small:4",))
    feed = chat("do")
    build.entity(slug="ping", username="Ping", model="maker/small", response_chance=0.0)
    build.entity(slug="typ", username="Typ", model="maker/small", response_chance=0.0)
    texts = ["I was typing", "ping?", "shopping", "hello TYP!", "typ ping"]
    now = clock.millis(clock.now())
    for n, text in enumerate(texts):
        say(feed, text, f"{now + n}-t{n:03d}")
    with engines():
        until(lambda: Message.objects.filter(decided_at__isnull=False, kind="human").count() == 5, what="5 decisions")
        confirmed(4)
    asked = {(reply.message.text, reply.username) for reply in Reply.objects.select_related("message")}
    assert asked == {("ping?", "Ping"), ("hello TYP!", "Typ"), ("typ ping", "Ping"), ("typ ping", "Typ")}


def test_bots_alone_stop_by_themselves(studio: Studios, chat: Feeds) -> None:
    """Two that answer every bot, alone in a room with two engines: they talk with each other until the run of bots is as long as it may be."""
    studio(models=("maker/small:4",))
    feed = chat("do", row={"max_bot_run": 4, "bot_decay": 1.0})
    for name in ("One", "Two"):
        build.entity(
            slug=name.lower(), username=name, model="maker/small", response_chance=1.0, responds_to_all_ai=True, max_similarity=1.0
        )
    now = clock.millis(clock.now())
    say(feed, "I am a stranger's bot.", f"{now}-s000", username="Stranger", **{"message-type": "AI"})
    with engines(2):
        until(Reply.objects.exists, what="an answer")

        def quiet() -> bool:
            under_way = Reply.objects.exclude(state__in=["posted", "dropped"]).exists()
            return not under_way and Message.objects.filter(decided_at__isnull=False).count() == len(shown(feed))

        until(quiet, what="the end of it")
        posts = len(shown(feed)) - 1
        assert 2 <= posts <= 3
        say(feed, "One, are you there?", f"{clock.millis(clock.now())}-h000")
        until(lambda: Reply.objects.filter(message__remote_id__endswith="-h000").exists() and quiet(), what="the end of it, again")
    everything = sorted(shown(feed), key=lambda one: one["timestamp"])
    human = next(n for n, one in enumerate(everything) if one["message-type"] == "human")
    assert human <= 4
    assert len(everything) - human - 1 <= 4
    answered = {reply.message.username: reply.username for reply in Reply.objects.select_related("message") if reply.message.own}
    assert answered.items() <= {"One": "Two", "Two": "One"}.items()
