"""The design document's "Simulation Tests", case by case: describe('Load Simulation').

The whole path with real engines: a human writes, the right personas answer, the feed shows it. What is asserted is that each message gets
exactly the answers it should; how fast that goes is measured elsewhere.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import httpx

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, Seat, Server
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.chatter import Line
from conversations.models import Message, Reply
from entities.models import Entity, Permit
from tests import build
from tests.harness import Background, engines, until

Studios, Feeds = Callable[..., Studio], Callable[..., Chat]

MODELS = ("maker/one:2", "maker/two:3", "maker/three:4", "maker/four:5", "maker/five:6")
PATIENCE_S = 240
"""A machine that does other things too may need so long; alone it takes a tenth of that."""

KEYS = tuple(spec.split(":")[0] for spec in MODELS)


def personas(n: int) -> None:
    """Persona000 …, each with one of the models, who speak only when they are named."""
    for i in range(n):
        build.entity(slug=f"persona-{i:03d}", username=f"Persona{i:03d}", model=KEYS[i % len(KEYS)], response_chance=0.0, max_age_s=600)


def humans(feed: Chat, background: Background, texts: Iterable[str]) -> None:
    """Humans write these texts, past the feed's limit for one address."""

    async def speak() -> None:
        for n, text in enumerate(texts):
            await feed.say(Line(text=text, username=f"Human{n % 97}", color="200100050", entity=""))
            await asyncio.sleep(0)

    background.run(speak(), 60)


def answers(feed: Chat) -> dict[str, list[str]]:
    """Who answered, by the text that was answered."""
    payload = httpx.get(f"{feed.url}/comments", params={"after": 1, "limit": 5000}, timeout=30, trust_env=False, verify=False).json()
    shown = payload if isinstance(payload, list) else payload["messages"]
    assert max(Counter(one["id"] for one in shown).values()) == 1, "nothing shows twice"
    texts = {one["id"]: one["text"] for one in shown if one["message-type"] == "human"}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for one in shown:
        if one["message-type"] == "AI":
            found[texts[one["replyTo"]]].append(one["username"])
    return {text: sorted(names) for text, names in found.items()}


def settled(messages: int, replies: int) -> None:
    """Wait until every message is decided and every answer is confirmed by the feed."""
    until(lambda: Message.objects.filter(kind="human", decided_at__isnull=False).count() == messages, PATIENCE_S, f"{messages} decisions")
    until(lambda: Reply.objects.filter(state="posted").count() == replies, PATIENCE_S, f"{replies} confirmed answers")
    assert Reply.objects.count() == replies
    assert Generation.objects.count() == replies
    assert not Seat.objects.exists()


def test_handles_1000_messages_minute(studio: Studios, chat: Feeds, background: Background) -> None:
    """it('handles 1000 messages/minute'): a minute's thousand at once; one in five names a persona, one in fifty names two."""
    for _ in range(2):
        studio(models=MODELS)
    feed = chat("do")
    personas(10)
    wanted: dict[str, list[str]] = {}
    texts = []
    for n in range(1000):
        names = [f"Persona{n // 5 % 10:03d}"] if n % 5 == 0 else []
        names += [f"Persona{(n // 5 + 1) % 10:03d}"] if n % 50 == 0 else []
        texts.append(f"Number {n}: {' and '.join(names)}, what do you say?" if names else f"Number {n}: I only say how it was today.")
        if names:
            wanted[texts[-1]] = sorted(names)
    replies = sum(map(len, wanted.values()))
    with engines():
        humans(feed, background, texts)
        settled(1000, replies)
    assert answers(feed) == wanted
    assert replies == 220


def test_manages_50_concurrent_entities(studio: Studios, chat: Feeds, background: Background) -> None:
    """it('manages 50 concurrent entities'): fifty who think at the same moment, each answers what it was asked, within its limit."""
    emulators = [studio(models=MODELS, loaded=KEYS, parallel=5, first_token_s=3600.0) for _ in range(2)]
    feed = chat("do")
    personas(50)
    for entity in Entity.objects.all():
        build.limit(entity=entity, kind="minute", amount=2)
    rounds = [[f"Round {turn}: what do you think, Persona{n:03d}?" for n in range(50)] for turn in range(2)]
    with engines():
        humans(feed, background, rounds[0])
        until(lambda: sum(e.work.machine.running for e in emulators) == 50, what="fifty who think at once")
        assert Generation.objects.filter(state="running").values("caller").distinct().count() == 50
        for emulator in emulators:
            emulator.set(first_token_s=0.0)
            for instance in emulator.work.machine.instances.values():
                for job in list(instance.running):
                    background.loop.call_soon_threadsafe(job.lost.set)
        humans(feed, background, rounds[1])
        settled(100, 100)
    assert answers(feed) == {text: [f"Persona{n:03d}"] for texts in rounds for n, text in enumerate(texts)}
    assert set(Counter(Permit.objects.filter(state="spent").values_list("entity_id", flat=True)).values()) == {2}
    assert [e.work.machine.counters["queued"] for e in emulators] == [0, 0]


def test_recovers_from_lm_studio_failures(studio: Studios, chat: Feeds, background: Background) -> None:
    """it('recovers from LM Studio failures'): one dies while it answers, then the other, then both come back; nobody goes without."""
    build.policy(breaker_pause_s=0.2)
    first, second = (studio(models=MODELS, tokens_per_s=200.0) for _ in range(2))
    feed = chat("do")
    personas(6)
    texts = [f"Number {n}: Persona{n % 6:03d}, are you there?" for n in range(36)]
    with engines():
        humans(feed, background, texts[:12])
        until(lambda: first.work.machine.running > 0, what="answers on the first server")
        background.run(first.stop())
        humans(feed, background, texts[12:24])
        until(lambda: Reply.objects.filter(state="posted").exists(), what="an answer from the second")
        background.run(second.stop())
        humans(feed, background, texts[24:])
        until(lambda: set(Server.objects.values_list("state", flat=True)) == {"offline"}, what="detection")
        for emulator in (first, second):
            background.run(emulator.start())
        settled(36, 36)
    assert answers(feed) == {text: [f"Persona{n % 6:03d}"] for n, text in enumerate(texts)}
