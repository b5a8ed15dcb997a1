"""A busy evening, for the pages' pictures: two Macs, one of them loading, a queue, and a conversation."""

from datetime import timedelta

from django.db import connection

from cluster.models import Generation, LanguageModel, Server
from conversations.models import Engine, Reply
from entities.models import Entity
from swwbot_site.lib import clock, leases
from tests import build

TALK = (
    ("Ann", "does anyone else think rivers are just slow rain?", "Sage", "A river is rain that remembers where it is going.", 2.1),
    (
        "mo",
        "@Chef what can I cook with three eggs and no patience",
        "Chef",
        "Scrambled, butter, low heat. Patience is four minutes long.",
        1.4,
    ),
    ("Lina", "why is the sky that colour tonight", "Stella", "Dust and a low sun: the blue is scattered away, the red comes through.", 3.0),
    ("Ann", "Sage, is a plan worth anything if it always changes?", "Sage", "The map changes; the habit of looking at one does not.", 1.8),
    ("0xRay", "hot take: tabs", "Grump", "Finally somebody with the courage to be wrong in public.", 2.6),
    ("Kit", "what should I read after Solaris?", "Stella", "The Invincible, then Roadside Picnic. Then go outside and look up.", 2.2),
    ("mo", "it worked. eggs were great", "Chef", "Told you. Tomorrow: an onion. We build slowly.", 1.2),
)


def evening() -> Engine:
    """Fill the tables; returns the engine, whose lock this connection holds."""
    now = clock.now()
    sizes = {"highermind_the-eternal-1": 29.0, "google/gemma-3-27b": 17.0, "qwen/qwen3-8b": 8.5, "llama-3.3-70b": 42.0}
    models = {key: build.model(key=key, size_gb=size) for key, size in sizes.items()}
    one = build.server(name="Mac Studio 1", url="http://192.168.1.102:1234", latency_ms=3.2, version="0.4.25")
    two = build.server(name="Mac Studio 2", url="http://192.168.1.100:1234", latency_ms=19.0, version="0.4.25")
    build.server(
        name="Mac Mini",
        url="http://192.168.1.87:1234",
        budget_gb=24,
        state="offline",
        state_reason="No connection: is LM Studio's server started there?",
        retry_at=now + timedelta(seconds=34),
        seen_at=now - timedelta(minutes=12),
    )
    for server, key, busy in ((one, "highermind_the-eternal-1", 3), (one, "qwen/qwen3-8b", 1), (two, "google/gemma-3-27b", 2)):
        _placed(server, models[key], busy)
    build.placement(server=two, model=models["llama-3.3-70b"], gb=42, state="loading", created_at=now - timedelta(seconds=21))
    for number in range(5):
        build.generation(
            model=models["llama-3.3-70b"],
            priority=(8, 50, 50, 50, 80)[number],
            queued_at=now - timedelta(seconds=21 - 3 * number),
            decision={"waits": "llama-3.3-70b is loading on Mac Studio 2"},
        )
    build.generation(model=models["google/gemma-3-27b"], priority=50, queued_at=now - timedelta(seconds=1))
    _talk(one, models["highermind_the-eternal-1"])
    engine = build.engine(host="studio-1", pid=4711, started_at=now - timedelta(minutes=3))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [leases.SPACE, engine.owner])
    return engine


def _placed(server: Server, model: LanguageModel, busy: int) -> None:
    placement = build.placement(server=server, model=model, gb=model.size_gb, slots=4)
    build.offer(server=server, model=model, tokens_per_s=41.0, load_seconds=12.0)
    for _ in range(busy):
        build.seat(placement=placement)


def _talk(server: Server, model: LanguageModel) -> None:
    now = clock.now()
    feed = build.feed(name="saywhatwant", url="https://chat.example/api", polled_at=now - timedelta(seconds=2))
    colors = {"Sage": "rgb(160, 120, 255)", "Chef": "rgb(255, 160, 90)", "Stella": "rgb(120, 200, 255)", "Grump": "rgb(150, 200, 120)"}
    personas = {name: build.entity(slug=name.lower(), username=name, color=color, model=model.key) for name, color in colors.items()}
    for number, (who, said, name, answer, seconds) in enumerate(TALK):
        at = now - timedelta(seconds=14 * (len(TALK) - number))
        message = build.message(feed=feed, username=who, text=said, received_at=at, timestamp=clock.millis(at), decided_at=at)
        asked = at - timedelta(seconds=seconds)
        written = build.generation(
            state="done", model=model, server=server, text=answer, queued_at=asked, asked_at=asked, ended_at=at, attempts=1
        )
        ended = at + timedelta(seconds=seconds)
        build.reply(state="posted", message=message, entity=personas[name], generation=written, text=answer, decided_at=at, ended_at=ended)
    _underway(feed_message=build.message(feed=feed, username="Kit", text="is anybody awake?"), persona=personas["Stella"], model=model)


def _underway(feed_message: object, persona: Entity, model: LanguageModel) -> None:
    build.reply(message=feed_message, entity=persona, generation=build.generation(state="running", model=model))


def trouble() -> Generation:
    """Servers and instances that are not well, and a request with everything that can be told of one; returns it."""
    now = clock.now()
    build.server(
        name="cloud",
        url="https://host.example/api",
        dialect="openai",
        detected="",
        state="rate-limited",
        state_reason="429: quota exceeded, try again in 20 s",
        retry_at=now + timedelta(seconds=20),
        price_in=0.4,
        price_out=1.6,
        daily_budget=5.0,
        region="far",
    )
    build.server(
        name="Mac Pro",
        state="misconfigured",
        state_reason="401: the API token is missing or wrong. Put LM Studio's token into this server's row.",
        retry_at=now + timedelta(seconds=55),
    )
    one, two = build.server(name="Attic 1"), build.server(name="Attic 2")
    model, gone = build.model(key="qwen/qwen3-32b", size_gb=21.0), build.model(key="mistral-small", size_gb=14.0)
    build.offer(server=one, model=model, load_seconds=11.0, answer_seconds=4.2, answer_spread=1.1, answers=12.3, tokens_per_s=31.0)
    build.placement(server=two, model=model, gb=21, failures=3, rest_until=now + timedelta(seconds=40))
    build.placement(
        server=one,
        model=gone,
        state="gone",
        reason="Attic 1 has room (86.0 GB free) and is best of 2 by expected-time",
        created_at=now - timedelta(hours=1),
        ended_at=now - timedelta(seconds=46),
        departure={"why": "makes room for qwen/qwen3-32b", "for": model.key, "gain": 14.2, "cost": 0.9, "bar": 2.7},
    )
    placement = build.placement(
        server=one,
        model=model,
        gb=21,
        reason="Attic 1 has room (86.4 GB free) and is best of 2 by expected-time",
        scores={"gain": 14.2, "cost": 0.0, "bar": 1.1},
        caused_by="entity:sage",
        created_at=now - timedelta(seconds=45),
        loaded_at=now - timedelta(seconds=34),
    )
    candidates = [
        {"server": "Attic 1", "expected_s": 5.25, "in_flight": 1, "score": [0.0, 0.25, 2, 0, now.timestamp()]},
        {"server": "Attic 2", "expected_s": 9.1, "in_flight": 2, "score": [1.733, 0.5, 2, 0, now.timestamp() - 9]},
    ]
    tried = {"server_id": two.pk, "server": "Attic 2", "code": "hung", "text": "No token for 120 s.", "retry": "elsewhere"}
    return build.generation(
        state="done",
        model=model,
        server=one,
        placement=placement,
        caller="entity:sage",
        attempts=2,
        text="A plan is a letter to somebody who will know better.",
        tried=[tried | {"at": (now - timedelta(seconds=40)).isoformat()}],
        decision={
            "why": "warm on Attic 1 with a free slot; best of 2 by expected-time",
            "server": "Attic 1",
            "strategy": "expected-time",
            "candidates": candidates,
            "waited": "room for qwen/qwen3-32b is being made on Attic 1",
            "hedged": {"server": "Attic 2", "after_s": 2.0, "why": "no token from Attic 1 by then", "answers": "Attic 1"},
        },
        queued_at=now - timedelta(seconds=50),
        seated_at=now - timedelta(seconds=30),
        asked_at=now - timedelta(seconds=30),
        first_token_at=now - timedelta(seconds=29),
        ended_at=now - timedelta(seconds=26),
    )


def explained(hostile: str = "") -> Reply:
    """An answer with everything that can be told of one; `hostile` stands in its message."""
    now = clock.now()
    generation = trouble()
    generation.request = {
        "messages": [
            {"role": "system", "content": "You are Sage. You speak in short, calm sentences.\n\nContext: Ann: does anyone plan?"},
            {"role": "user", "content": f"Ann: Sage, is a plan worth anything? {hostile}"},
        ],
        "sampling": {"temperature": 0.7, "top_p": 0.9},
        "max_tokens": 120,
        "stop": ["###"],
    }
    generation.text = "<think>She asks about plans.</think>Sage: A plan is a letter to somebody who will know better."
    generation.save()
    said = generation.queued_at - timedelta(seconds=1.2)
    message = build.message(
        username="Ann",
        text=f"Sage, is a plan worth anything if it always changes? {hostile}",
        timestamp=clock.millis(said - timedelta(seconds=2)),
        received_at=said,
        decided_at=said + timedelta(seconds=0.2),
        verdict={
            "why": "by chance",
            "yes": ["sage"],
            "no": {"grump": "dice 0.812 against 0.100", "chef": "has just spoken, and others may", "stella": "its limits"},
            "noes": {"dice": 1, "has just spoken, and others may": 1, "its limits": 1},
            "considered": 4,
            "facts": {"strategy": "weighted", "factors": {"question": 2.0}},
        },
    )
    return build.reply(
        state="posted",
        message=message,
        entity=build.entity(slug="wise", username="Sage"),
        mode="ambient",
        generation=generation,
        text="A plan is a letter to somebody who will know better.",
        decided_at=said + timedelta(seconds=0.2),
        ready_at=generation.ended_at + timedelta(seconds=0.05),
        accepted_at=generation.ended_at + timedelta(seconds=0.4),
        ended_at=now - timedelta(seconds=24),
        permit=build.permit(reserved_at=said + timedelta(seconds=0.2)),
        verdict={
            "rules": ["chance 0.4", "question ×2"],
            "chance": 0.8,
            "dice": 0.31,
            "factors": {"question": 2.0},
            "pick": "weighted: the luckiest of 2",
            "left": [{"rule": "10 a minute", "left": 7}, {"rule": "45 s between posts", "left": 0}],
            "shown": ["Ann: does anyone plan?", "mo: never"],
            "prompt": {"tokens": 312, "room": 8192, "dropped": []},
            "cleaned": ["thoughts removed", "own label removed"],
        },
        drafts=[{"generation": 1, "text": "Sage:", "why": "nothing was left of it after cleaning", "cleaned": ["own label removed"]}],
    )


def crowd() -> None:
    """200 servers, some of them not well, and 1000 requests for 60 models."""
    now = clock.now()
    models = [build.model(key=f"maker/model-{number}") for number in range(60)]
    for number in range(200):
        ill = {"state": "offline", "state_reason": "No connection.", "retry_at": now + timedelta(seconds=40)} if number % 23 == 7 else {}
        server = build.server(name=f"mac-{number:03}", url=f"http://mac-{number:03}:1234", **ill)
        if not ill:
            build.placement(server=server, model=models[number % 60], gb=20 + number % 50)
    row = {"state": "queued", "caller": "test", "request": {}, "queued_at": now}
    Generation.objects.bulk_create(
        Generation(**row, model=models[number % 60], priority=number % 100, share_at=now, turn_at=now) for number in range(1000)
    )
