"""The design document's "Integration Tests", case by case: describe('Bot Pipeline'); and what its "Unit Tests" say of disabled entities."""

from collections import Counter
from collections.abc import Callable

import httpx

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.chatter import Line
from conversations.models import Message, Reply
from entities.models import Permit
from tests import build
from tests.harness import Background, engines, until

Studios, Feeds = Callable[..., Studio], Callable[..., Chat]


def human(feed: Chat, background: Background, text: str) -> None:
    background.run(feed.say(Line(text=text, username="Ann", color="200100050", entity="")))


def ai(feed: Chat) -> list[dict[str, str]]:
    """What personas have posted, as a reader sees it."""
    payload = httpx.get(f"{feed.url}/comments", params={"after": 1}, timeout=10, trust_env=False, verify=False).json()
    return [one for one in payload["messages"] if one["message-type"] == "AI"]


def test_processes_messages_end_to_end(studio: Studios, chat: Feeds, background: Background) -> None:
    """it('processes messages end-to-end'): from what a human writes to the answer that everybody reads, with all that is known of it."""
    studio(models=["maker/small:4"])
    feed = chat("do")
    owl = build.entity(slug="owl", username="Owl", model="maker/small", response_chance=0.0, color="rgb(1, 2, 3)")
    with engines():
        human(feed, background, "Owl, where do lighthouses sleep?")
        until(lambda: Reply.objects.filter(state="posted").exists(), what="the answer")
    (shown,) = ai(feed)
    reply = Reply.objects.get()
    generation = Generation.objects.get()
    assert (shown["username"], shown["text"], shown["replyTo"]) == ("Owl", reply.text, reply.message.remote_id)
    assert "Owl, where do lighthouses sleep?" in str(generation.request)
    assert (generation.state, generation.server.name if generation.server else "") == ("done", "studio-1")
    assert generation.decision["why"]
    assert Permit.objects.get(entity=owl).state == "spent"


def test_handles_errors_gracefully(studio: Studios, chat: Feeds, background: Background) -> None:
    """it('handles errors gracefully'): a crash, a broken stream and a feed that fails cost time and nothing else."""
    emulator = studio(models=["maker/small:4"], fault="crash", fault_times=1)
    feed = chat("do")
    build.entity(slug="owl", username="Owl", model="maker/small", response_chance=0.0)
    build.policy(breaker_pause_s=0.2)
    texts = [f"Owl, what of number {n}?" for n in range(3)]
    with engines():
        human(feed, background, texts[0])
        until(lambda: Reply.objects.filter(state="posted").count() == 1, what="the first answer")
        emulator.set(fault="reset", fault_times=1)
        human(feed, background, texts[1])
        until(lambda: Reply.objects.filter(state="posted").count() == 2, what="the second answer")
        feed.quirks.fail, feed.quirks.method = 2, "POST"
        feed.quirks.drop_after = 1
        human(feed, background, texts[2])
        until(lambda: Reply.objects.filter(state="posted").count() == 3, what="the third answer")
    assert len(ai(feed)) == 3
    assert Counter(len(g.tried) for g in Generation.objects.all()) == {1: 2, 0: 1}
    assert emulator.work.machine.counters["fault"] == 2


def test_respects_rate_limits(studio: Studios, chat: Feeds, background: Background) -> None:
    """it('respects rate limits'): an entity posts what it may, and says why it does not post more."""
    studio(models=["maker/small:4"])
    feed = chat("do")
    owl = build.entity(slug="owl", username="Owl", model="maker/small", response_chance=0.0, when_limited="drop")
    build.limit(entity=owl, kind="hour", amount=2)
    with engines():
        for n in range(5):
            human(feed, background, f"Owl, what of number {n}?")
        until(lambda: Message.objects.filter(kind="human", decided_at__isnull=False).count() == 5, what="five decisions")
        until(lambda: Reply.objects.filter(state="posted").count() == 2, what="two answers")
    assert (len(ai(feed)), Reply.objects.count(), Generation.objects.count()) == (2, 2, 2)
    refused = [m.verdict["no"]["owl"] for m in Message.objects.filter(kind="human") if m.verdict["no"]]
    assert len(refused) == 3
    assert all("2" in why and "hour" in why for why in refused), refused


def test_respects_disabled_entities(studio: Studios, chat: Feeds, background: Background) -> None:
    """describe('EntityManager'), it('respects disabled entities'): not by name, not by id, not by chance."""
    studio(models=["maker/small:4"])
    feed = chat("do")
    build.entity(slug="owl", username="Owl", model="maker/small", response_chance=1.0, enabled=False, disabled_reason="it is asleep")
    build.entity(slug="jay", username="Jay", model="maker/small", response_chance=0.0)
    with engines():
        human(feed, background, "Owl, are you there? Anybody?")
        human(feed, background, "Jay, are you there?")
        until(lambda: Message.objects.filter(kind="human", decided_at__isnull=False).count() == 2, what="two decisions")
        until(lambda: Reply.objects.filter(state="posted").exists(), what="the answer of the other")
    assert {reply.username for reply in Reply.objects.all()} == {"Jay"}
    whys = {m.text[:3]: m.verdict["no"]["owl"] for m in Message.objects.filter(kind="human")}
    assert whys["Owl"] == "disabled: it is asleep"
    assert whys["Jay"] in ("disabled: it is asleep", "others were called by name")
