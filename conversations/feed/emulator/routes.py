"""Which path of which generation leads where."""

from collections.abc import Mapping
from dataclasses import dataclass

from conversations.feed.emulator.durable import Durable
from conversations.feed.emulator.kv import KV
from conversations.feed.emulator.reply import Json, Reply, refusal
from conversations.feed.values import Generation

Store = KV | Durable
ITEM = "/api/comments/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to the backend. `body` is None if it was no JSON object."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Json | None
    ip: str
    origin: str


def cors(store: Store) -> dict[str, str]:
    """The headers of every answer."""
    if isinstance(store, Durable):
        methods = "GET, POST, PUT, DELETE, OPTIONS, PATCH"
    else:
        methods = "GET, POST, OPTIONS" if store.generation is Generation.KV else "GET, POST, PATCH, OPTIONS"
    return {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Max-Age": "86400",
    }


async def answer(store: Store, call: Call) -> Reply:
    """What the backend answers."""
    if call.method == "OPTIONS":
        return Reply(status=204 if isinstance(store, Durable) else 200)
    return durable(store, call) if isinstance(store, Durable) else await kv(store, call)


def durable(store: Durable, call: Call) -> Reply:
    """The newest backend: errors are JSON, `/` is unknown."""
    body = call.body
    store.asked()
    match call.method, call.path:
        case "GET", "/api/comments":
            return store.get(call.query)
        case "POST", "/api/comments":
            return store.post(body)
        case "PATCH", path if path.startswith(ITEM):
            return store.patch(path.removeprefix(ITEM), body)
        case "GET", "/api/queue/pending":
            return store.pending(call.query)
        case "POST", "/api/queue/claim":
            return store.claim(body)
        case "POST", "/api/queue/claim-next":
            return store.claim_next(body)
        case "POST", "/api/queue/complete":
            return store.complete(body)
        case "GET", "/api/admin/stats":
            return store.stats()
        case "POST", "/api/admin/purge":
            return store.purge()
    return refusal(404, "Not found")


async def kv(store: KV, call: Call) -> Reply:
    """The KV backends: errors of the router are text, `/` is the list."""
    path = "/api/comments" if call.path == "/" else call.path
    last = store.generation is Generation.KV_QUEUE
    marks = store.generation is not Generation.KV
    body = call.body
    match call.method, path:
        case "GET", "/api/comments":
            return store.get(call.query)
        case "POST", "/api/comments":
            return await store.post(body, ip=call.ip, origin=call.origin)
        case "GET", "/api/stats":
            return store.stats()
        case "PATCH", item if item.startswith(ITEM) and marks:
            return await store.patch(item.removeprefix(ITEM), body)
        case "GET", "/api/heartbeat" if last:
            return store.heartbeat()
        case "POST", "/api/admin/add-to-cache" if last:
            return store.heal(body)
        case "GET", "/api/queue/pending" if last:
            return store.pending(call.query)
        case "POST", "/api/queue/claim" if last:
            return await store.queue("claim", body)
        case "POST", "/api/queue/complete" if last:
            return await store.queue("complete", body)
        case "POST", "/api/queue/fail" if last:
            return await store.queue("fail", body)
    if path in ("/api/comments", "/api/stats"):
        return Reply(status=405, payload="Method not allowed")
    return Reply(status=404, payload="Not found")
