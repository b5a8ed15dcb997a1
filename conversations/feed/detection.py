"""How a backend is recognised: by reading only, because a live chat must not be written to.

1. `GET comments?after=<now>`: an object with `messages` is a Durable Object; a bare list is any other.
2. `GET queue/pending`: `platformOnly` is the newest Durable Object; `kvStats` without it the last KV with its queue, and so is a bare
   list, which its first days gave; 404 has no queue.
3. `GET comments?limit=1` (no queue): an object with `comments` is a KV backend.
4. `OPTIONS comments`: the October KV allows PATCH, the September one does not.

The conversation is a generator that asks and never sends; whoever sends is told by `Ask` and answers with `Reply`.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from conversations.feed import wire
from conversations.feed.classify import classify
from conversations.feed.errors import Misaddressed, Unrecognised
from conversations.feed.values import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request without a body; `path` is under the API's base."""

    method: str
    path: str
    params: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. `headers` have lower-case names; `where` names the request for messages."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    where: str

    def payload(self) -> object:
        """The JSON of a sound reply. Raises what `classify` finds, or Malformed."""
        wrong = classify(self.status, self.headers, self.body, where=self.where)
        if wrong is not None:
            raise wrong
        return wire.decode(self.body)


def steps(now_ms: int) -> Generator[Ask, Reply, Generation]:
    """The conversation; returns the generation. Raises Unrecognised, or what the backend did wrong."""
    newest = (yield Ask(method="GET", path="/comments", params={"after": now_ms})).payload()
    durable = isinstance(newest, Mapping) and isinstance(newest.get("messages"), list)
    if not durable:
        wire.items(newest)

    reply = yield Ask(method="GET", path="/queue/pending", params={"limit": 1})
    try:
        queue = reply.payload()
    except Misaddressed:
        if durable:
            raise
    else:
        if not durable and isinstance(queue, list):
            return Generation.KV_QUEUE
        keys = set(queue) if isinstance(queue, Mapping) else set()
        if durable and {"pending", "platformOnly"} <= keys:
            return Generation.DO
        if not durable and {"pending", "kvStats"} <= keys and "platformOnly" not in keys:
            return Generation.KV_QUEUE
        raise Unrecognised(
            f"{reply.where} is a backend between the last KV and the newest Durable Object (its queue says {sorted(keys)});"
            " these are not spoken to: set the generation by hand if it is one of the known ones"
        )

    reply = yield Ask(method="GET", path="/comments", params={"limit": 1})
    plain = reply.payload()
    if not isinstance(plain, Mapping) or not isinstance(plain.get("comments"), list):
        raise Unrecognised(f"{reply.where} lists no comments; check the feed's URL, or set its generation by hand")
    methods = (yield Ask(method="OPTIONS", path="/comments")).headers.get("access-control-allow-methods", "")
    return Generation.KV_PATCH if "PATCH" in methods.upper() else Generation.KV
