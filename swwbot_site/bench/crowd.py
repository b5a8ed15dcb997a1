"""The rows that pages are measured over, written by the database itself: a million messages and what belongs to them."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import connection

from cluster.models import LanguageModel, Offer, Placement, Server
from conversations.models import Feed
from entities.models import Entity, RateLimit
from swwbot_site.lib import clock

SERVERS: Final = 20
MODELS: Final = 40
ENTITIES: Final = 1000
WORDS: Final = "ARRAY['river','rain','time','music','bread','winter','question','answer','stone','light','garden','machine']"

_MESSAGES: Final = f"""
INSERT INTO conversations_message (feed_id, remote_id, raw_id, timestamp, kind, username, color, domain, conversation, text, context,
    bot_params, reply_to, own, received_at, born_at, decided_at, verdict, state, settle_at, settle_attempts)
SELECT %(feed)s, 'm-' || n, to_json('m-' || n), extract(epoch FROM at)::bigint * 1000, CASE WHEN n %% 5 = 0 THEN 'AI' ELSE 'human' END,
    'user-' || n %% 997, '128000255', 'saywhatwant.app', 'saywhatwant.app',
    'number ' || n || ' is about ' || ({WORDS})[1 + n %% 12] || ' and ' || ({WORDS})[1 + n / 7 %% 12] || repeat(' so they say', n %% 9),
    NULL, NULL, '', n %% 5 = 0, at, at, CASE WHEN n > %(messages)s - 20 THEN NULL ELSE at END,
    '{{"why": "nobody was asked, and nobody felt like it"}}', 'none', NULL, 0
FROM (SELECT n, %(now)s::timestamptz - (%(messages)s - n) * interval '2 seconds' AS at FROM generate_series(1, %(messages)s) n) t
"""  # noqa: S608 - our own words
_GENERATIONS: Final = """
INSERT INTO cluster_generation (model_id, pin_id, state, priority, deadline, caller, request, request_hash, queued_at, share_at, turn_at,
    leader_id, not_before, attempts, avoid_id, tried, decision, server_id, placement_id, seated_at, asked_at, first_token_at, ended_at,
    text, reasoning, finish_reason, prompt_tokens, completion_tokens, error_code, error, cached, lease_owner, lease_until)
SELECT model, NULL, state, 10 * (n %% 10), NULL, 'entity:entity-' || n %% 1000,
    json_build_object('messages', json_build_array(json_build_object('role', 'user', 'content', repeat('What of it? ', 40)))), 'h' || n,
    at, at, at, NULL, NULL, 1, NULL, '[]', '{"why": "warm with a free slot; best of 2 by expected-time"}', server, NULL, at, at, at,
    CASE WHEN state = 'queued' THEN NULL ELSE at + interval '2 seconds' END, 'It is what you make of it, ' || n, '', 'stop', 300, 40,
    CASE WHEN state = 'failed' THEN 'hung' ELSE '' END, CASE WHEN state = 'failed' THEN 'No token for 120 s.' ELSE '' END, false, NULL, NULL
FROM (SELECT n, %(now)s::timestamptz - (%(replies)s - n) * interval '10 seconds' AS at,
        (SELECT min(id) FROM cluster_languagemodel) + n %% %(models)s AS model,
        (SELECT min(id) FROM cluster_server) + n %% %(servers)s AS server,
        CASE WHEN n > %(replies)s - 200 THEN 'queued' WHEN n %% 50 = 0 THEN 'failed' ELSE 'done' END AS state
      FROM generate_series(1, %(replies)s) n) t
"""
_PERMITS: Final = """
INSERT INTO entities_permit (entity_id, feed_id, state, reserved_at, settled_at)
SELECT entity_id, %(feed)s, 'spent', at, at FROM
    (SELECT (SELECT min(id) FROM entities_entity) + n %% %(entities)s AS entity_id,
        %(now)s::timestamptz - (%(replies)s - n) * interval '10 seconds' AS at FROM generate_series(1, %(replies)s) n) t
"""
_REPLIES: Final = """
INSERT INTO conversations_reply (message_id, entity_id, state, mode, conversation, verdict, decided_at, deadline, prepared, permit_id,
    permit_at, generation_id, username, color, text, reason, outgoing_id, outgoing_timestamp, drafts, original, judged_by, judged_at,
    attempts, attempt_at, accepted_at, ready_at, ended_at, lease_owner, lease_until)
SELECT m.id, (SELECT min(id) FROM entities_entity) + n %% %(entities)s, fate, CASE WHEN n %% 3 = 0 THEN 'directed' ELSE 'ambient' END,
    'saywhatwant.app', '{"why": "felt like it", "rules": ["chance"], "chance": 0.1, "dice": 0.05}', m.received_at,
    m.received_at + interval '5 minutes', NULL, NULL, NULL, g.id, 'name-' || n %% 1000, '128000255', g.text,
    CASE WHEN fate = 'failed' THEN 'No token for 120 s.' ELSE '' END, CASE WHEN fate = 'posted' THEN 'out-' || n END,
    CASE WHEN fate = 'posted' THEN m.timestamp END, '[]', '', '', NULL, 1, NULL, NULL, m.received_at,
    CASE WHEN fate = 'held' THEN NULL ELSE m.received_at + interval '3 seconds' END, NULL, NULL
FROM (SELECT n, CASE WHEN n > %(replies)s - 40 THEN 'held' WHEN n %% 50 = 0 THEN 'failed' ELSE 'posted' END AS fate
      FROM generate_series(1, %(replies)s) n) t
JOIN conversations_message m ON m.id = (SELECT min(id) FROM conversations_message) - 1 + n * (%(messages)s / %(replies)s)
JOIN cluster_generation g ON g.id = (SELECT min(id) FROM cluster_generation) - 1 + n
"""
_EVENTS: Final = """
INSERT INTO swwbot_site_event (at, kind, level, subject, text, detail)
SELECT %(now)s::timestamptz - (%(replies)s - n) * interval '10 seconds', (ARRAY['reply.posted', 'placement.loaded', 'server.offline'])[1 + n %% 3],
    CASE WHEN n %% 90 = 0 THEN 'error' ELSE 'info' END, 'reply:' || n, 'What happened was number ' || n, '{"seconds": 2.5}'
FROM generate_series(1, %(replies)s) n
"""


def settle(messages: int, replies: int, tell: Callable[[str], object]) -> None:
    """Fill the tables of an empty database, and let it count what it has."""
    now = clock.now()
    feed = Feed.objects.create(name="chat", url="http://127.0.0.1:1/api", detected="do", polled_at=now)
    _cluster()
    entities = Entity.objects.bulk_create(
        Entity(
            slug=f"entity-{n}",
            username=f"name-{n}",
            color="128000255",
            model=f"maker/model-{n % MODELS}",
            system_prompt="You are terse. " * 40,
        )
        for n in range(ENTITIES)
    )
    limits = (("minute", 5), ("hour", 100))
    RateLimit.objects.bulk_create(RateLimit(entity=one, kind=kind, amount=amount) for one in entities for kind, amount in limits)
    values: dict[str, int | datetime] = {"feed": feed.pk, "now": now, "messages": messages, "replies": replies}
    values |= {"models": MODELS, "servers": SERVERS, "entities": ENTITIES}
    steps = (("messages", _MESSAGES), ("generations", _GENERATIONS), ("permits", _PERMITS), ("replies", _REPLIES), ("events", _EVENTS))
    for name, statement in steps:
        tell(f"writing {name}")
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _cluster() -> None:
    """Servers with what they hold."""
    now = clock.now()
    servers = Server.objects.bulk_create(
        Server(name=f"Mac {n}", url=f"http://10.0.0.{n + 1}:1234", budget_gb=96, state="online", state_since=now, detected="lmstudio-v1")
        for n in range(SERVERS)
    )
    models = LanguageModel.objects.bulk_create(LanguageModel(key=f"maker/model-{n}", size_gb=8 + n % 20) for n in range(MODELS))
    Offer.objects.bulk_create(Offer(server=one, model=model, key=model.key, listed_at=now) for one in servers for model in models)
    held = [(one, models[(3 * number + more) % MODELS]) for number, one in enumerate(servers) for more in range(3)]
    loaded = {"state": "loaded", "created_at": now, "loaded_at": now, "used_at": now, "slots": 4}
    Placement.objects.bulk_create(
        Placement(server=one, model=model, instance_id=model.key, gb=model.size_gb, **loaded) for one, model in held
    )
    gone = {"state": "gone", "created_at": now, "ended_at": now, "reason": "Mac had room"}
    Placement.objects.bulk_create(Placement(server=one, model=model, gb=model.size_gb, **gone) for one in servers for model in models * 5)
