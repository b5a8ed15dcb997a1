"""Rows for tests: each builder makes a sound one and takes overrides, so that a test names only what it is about.

What a state demands (a lease, an end, an outgoing id) is filled in to match; related rows are made unless they are given.
"""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import User

from cluster.models import ClusterPolicy, Generation, LanguageModel, Notice, Offer, Placement, Seat, Server, Share
from conversations.models import Engine, Ensemble, Feed, Message, Reply, Room, Scenario, Voice
from entities.models import Entity, Permit, RateLimit
from swwbot_site import tokens
from swwbot_site.lib import clock, leases
from swwbot_site.models import Delivery, Event, Token, Webhook

_number = count(1)
OWNER = 4711
"""The engine that holds whatever a builder leases."""


def _lease(now: datetime) -> dict[str, object]:
    return leases.taken(OWNER, now)


def _given(over: dict[str, Any], *names: str) -> bool:
    """Whether a foreign key is given, as a row or as an id."""
    return any(name in over or f"{name}_id" in over for name in names)


# --- cluster -----------------------------------------------------------------------------------------------------
def server(**over: Any) -> Server:
    """A server that answers, with 96 GB."""
    n = next(_number)
    now = clock.now()
    values: dict[str, Any] = {
        "name": f"server-{n}",
        "url": f"http://10.0.{n // 250}.{n % 250}:1234",
        "budget_gb": 96.0,
        "state": "online",
        "state_since": now,
        "detected": "lmstudio-v1",
        "seen_at": now,
        "listed_at": now,
    }
    return Server.objects.create(**values | over)


def model(**over: Any) -> LanguageModel:
    """A model of 17 GB."""
    values: dict[str, Any] = {"key": f"maker/model-{next(_number)}", "size_gb": 17.0, "size_source": "listing"}
    return LanguageModel.objects.create(**values | over)


def offer(**over: Any) -> Offer:
    """A model on a server's disk."""
    values: dict[str, Any] = {"listed_at": clock.now()} | over
    if not _given(over, "server"):
        values["server"] = server()
    if not _given(over, "model"):
        values["model"] = model()
    values.setdefault("key", LanguageModel.objects.get(pk=values["model_id"]).key if "model_id" in values else values["model"].key)
    return Offer.objects.create(**values)


def placement(**over: Any) -> Placement:
    """A loaded model in a server's memory."""
    now = clock.now()
    values: dict[str, Any] = {"state": "loaded", "created_at": now, "gb": 17.0, "slots": 4} | over
    if not _given(over, "server"):
        values["server"] = server()
    if not _given(over, "model"):
        values["model"] = model()
    if values["state"] == "loading":
        values = _lease(now) | {"load_deadline": now + timedelta(minutes=10)} | values
    if values["state"] in ("loaded", "unloading"):
        key = LanguageModel.objects.get(pk=values["model_id"]).key if "model_id" in values else values["model"].key
        values = {"instance_id": key, "loaded_at": now, "used_at": now} | values
    if values["state"] in ("gone", "failed"):
        values = {"ended_at": now} | values
    return Placement.objects.create(**values)


def generation(**over: Any) -> Generation:
    """A request that waits in the queue; a running one has its lease, a done one its text."""
    now = clock.now()
    values: dict[str, Any] = {
        "state": "queued",
        "caller": "test",
        "request": {"messages": [{"role": "user", "content": "Hello?"}]},
        "queued_at": now,
    } | over
    values = {"share_at": values["queued_at"], "turn_at": values["queued_at"] + timedelta(seconds=3 * values.get("priority", 50))} | values
    if not _given(over, "model"):
        values["model"] = model()
    if values["state"] == "running":
        values = _lease(now) | {"seated_at": now} | values
    if values["state"] in ("done", "failed", "expired", "cancelled"):
        values = {"ended_at": now} | values
    if values["state"] == "done":
        values = {"text": "Hello.", "finish_reason": "stop", "prompt_tokens": 20, "completion_tokens": 3} | values
    if values["state"] == "failed":
        values = {"error_code": "unreachable", "error": "Nobody answered."} | values
    return Generation.objects.create(**values)


def seat(**over: Any) -> Seat:
    """A running generation's seat on a placement of its model."""
    now = clock.now()
    values: dict[str, Any] = _lease(now) | {"taken_at": now} | over
    if not _given(over, "generation"):
        wanted = {"model": values["placement"].model, "server": values["placement"].server} if "placement" in values else {}
        values["generation"] = generation(state="running", **wanted)
    if not _given(over, "placement"):
        values["placement"] = placement(model=values["generation"].model)
    return Seat.objects.create(**values)


def share(**over: Any) -> Share:
    """A caller of weight 1."""
    return Share.objects.create(**{"caller": f"entity:caller-{next(_number)}"} | over)


def notice(**over: Any) -> Notice:
    """A call for more servers that stands and is told now."""
    now = clock.now()
    values = {"event": "scale_out", "subject": f"model:maker/model-{next(_number)}", "reason": {"waiting": 3}, "at": now, "due_at": now}
    return Notice.objects.create(**values | over)


def policy(**over: Any) -> ClusterPolicy:
    """The one row of cluster settings, changed as asked."""
    return ClusterPolicy.objects.update_or_create(pk=1, defaults=over)[0]


# --- entities ----------------------------------------------------------------------------------------------------
def entity(**over: Any) -> Entity:
    """A persona that answers everything."""
    n = next(_number)
    values: dict[str, Any] = {
        "slug": f"entity-{n}",
        "username": f"Entity{n}",
        "color": "rgb(128, 0, 255)",
        "system_prompt": "You are terse.",
        "response_chance": 1.0,
    }
    return Entity.objects.create(**values | over)


def limit(**over: Any) -> RateLimit:
    """A limit of one entity, 10 a minute; `entity=None` is of all together."""
    values: dict[str, Any] = {"kind": "minute", "amount": 10} | over
    if not _given(over, "entity"):
        values["entity"] = entity()
    return RateLimit.objects.create(**values)


def permit(**over: Any) -> Permit:
    """A reserved post of an entity."""
    now = clock.now()
    values: dict[str, Any] = {"state": "reserved", "reserved_at": now} | over
    if not _given(over, "entity"):
        values["entity"] = entity()
    if values["state"] != "reserved":
        values = {"settled_at": now} | values
    return Permit.objects.create(**values)


# --- conversations -----------------------------------------------------------------------------------------------
def feed(**over: Any) -> Feed:
    """A feed of the newest generation."""
    n = next(_number)
    return Feed.objects.create(**{"name": f"feed-{n}", "url": f"http://feed-{n}.example/api", "detected": "do"} | over)


def room(**over: Any) -> Room:
    """A domain of a feed, with the feed's rules."""
    values: dict[str, Any] = {"domain": f"room-{next(_number)}.example"} | over
    if not _given(over, "feed"):
        values["feed"] = feed()
    return Room.objects.create(**values)


def message(**over: Any) -> Message:
    """A human's message that nobody has decided on."""
    n = next(_number)
    now = clock.now()
    values: dict[str, Any] = {
        "remote_id": f"message-{n}",
        "timestamp": clock.millis(now),
        "kind": "human",
        "username": "Ann",
        "color": "200100050",
        "domain": "saywhatwant.app",
        "text": "What is the meaning of all this?",
        "received_at": now,
        "born_at": now,
    } | over
    values = {"raw_id": values["remote_id"]} | values
    if not _given(over, "feed"):
        values["feed"] = feed()
    return Message.objects.create(**values)


def reply(**over: Any) -> Reply:
    """An entity's answer that waits for its generation; a later state has what it demands."""
    now = clock.now()
    values: dict[str, Any] = {"state": "waiting", "mode": "directed", "decided_at": now, "deadline": now + timedelta(minutes=5)} | over
    if not _given(over, "message"):
        values["message"] = message(decided_at=now)
    if not _given(over, "entity"):
        values["entity"] = entity()
    who = values["entity"] if "entity" in values else Entity.objects.get(pk=values["entity_id"])
    values = {"username": who.username, "color": who.color} | values
    if values["state"] in ("ready", "held", "posting", "posted"):
        values = {"text": "It means what you make of it.", "ready_at": now} | values
    if values["state"] in ("posting", "posted"):
        values = {"outgoing_id": f"out-{next(_number)}", "outgoing_timestamp": clock.millis(now), "attempts": 1} | values
    if values["state"] == "posted":
        values = {"accepted_at": now} | values
    if values["state"] in ("posted", "dropped", "failed"):
        values = {"ended_at": now} | values
    return Reply.objects.create(**values)


def ensemble(*voices: Entity, **over: Any) -> Ensemble:
    """A question to these entities, or to two, that nobody has been asked yet; `synthesizer` writes the synthesis."""
    now = clock.now()
    values: dict[str, Any] = {"question": "What is time?", "created_at": now, "deadline": now + timedelta(minutes=10)} | over
    if not _given(over, "synthesizer"):
        values["synthesizer"] = entity()
    if values.get("state", "running") != "running":
        values = {"ended_at": now} | values
    row = Ensemble.objects.create(**values)
    speakers = voices or (entity(), entity())
    for ordinal, who in enumerate(speakers):
        Voice.objects.create(ensemble=row, ordinal=ordinal, entity=who)
    Voice.objects.create(ensemble=row, ordinal=len(speakers), entity=row.synthesizer, synthesis=True)
    return row


def scenario(**over: Any) -> Scenario:
    """A golden conversation of one message that the entity is called in, and answers."""
    values: dict[str, Any] = {"name": f"scenario {next(_number)}"} | over
    if not _given(over, "entity"):
        values["entity"] = entity()
    who = values["entity"] if "entity" in values else Entity.objects.get(pk=values["entity_id"])
    document = {"messages": [{"who": "Ann", "text": f"{who.username}, are you there?", "expect": {"by": "mention"}}]}
    return Scenario.objects.create(**{"document": document} | values)


def engine(**over: Any) -> Engine:
    """An engine that runs, as its row says; it holds no lock."""
    now = clock.now()
    values: dict[str, Any] = {
        "owner": leases.draw(),
        "cluster": "swwbot-test",
        "host": "testhost",
        "pid": 4711,
        "version": "1.1.0",
        "started_at": now,
        "beat_at": now,
    }
    return Engine.objects.create(**values | over)


# --- the roof ----------------------------------------------------------------------------------------------------
def event(**over: Any) -> Event:
    """Something that happened."""
    return Event.objects.create(**{"at": clock.now(), "kind": "test.happened", "text": "Something happened."} | over)


def token(*scopes: str, **over: Any) -> tuple[Token, str]:
    """A token of an administrator for every scope, or for these, and its secret."""
    n = next(_number)
    user = over.pop("user", None) or User.objects.create_superuser(f"owner-{n}")
    return tokens.make(f"program-{n}", user, scopes or Token.Scope.values, who="test", **over)


def webhook(**over: Any) -> Webhook:
    """Where every event is told that happens from now on."""
    now, n = clock.now(), next(_number)
    values: dict[str, Any] = {"name": f"hook-{n}", "url": f"http://10.9.0.{n % 250}/hook", "created_at": now, "since": now}
    return Webhook.objects.create(**{"secret": "whsec_" + "QUJD" * 8} | values | over)


def delivery(**over: Any) -> Delivery:
    """An event on its way to a webhook."""
    now = clock.now()
    values: dict[str, Any] = {"attempt_at": now} | over
    if not _given(over, "webhook"):
        values["webhook"] = webhook()
    if not _given(over, "event"):
        values["event"] = event()
    if values.get("state", "waiting") != "waiting":
        values = {"ended_at": now, "attempts": 1} | values
    return Delivery.objects.create(**values)
