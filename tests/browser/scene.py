"""A busy evening, for the pages' pictures: two Macs, one of them loading, a queue, and a conversation."""

from datetime import timedelta

from django.db import connection

from cluster.models import LanguageModel, Server
from conversations.models import Engine
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
    one = build.server(name="Mac Studio 1", url="http://10.0.0.102:1234", latency_ms=3.2, version="0.4.25")
    two = build.server(name="Mac Studio 2", url="http://10.0.0.100:1234", latency_ms=19.0, version="0.4.25")
    build.server(
        name="Mac Mini",
        url="http://10.0.0.87:1234",
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
            model=models["llama-3.3-70b"], priority=(8, 50, 50, 50, 80)[number], queued_at=now - timedelta(seconds=21 - 3 * number)
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
        written = build.generation(state="done", model=model, server=server, text=answer, ended_at=at)
        ended = at + timedelta(seconds=seconds)
        build.reply(state="posted", message=message, entity=personas[name], generation=written, text=answer, decided_at=at, ended_at=ended)
    _underway(feed_message=build.message(feed=feed, username="Kit", text="is anybody awake?"), persona=personas["Stella"], model=model)


def _underway(feed_message: object, persona: Entity, model: LanguageModel) -> None:
    build.reply(message=feed_message, entity=persona, generation=build.generation(state="running", model=model))
