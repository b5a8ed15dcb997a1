"""The wire format of messages: what a backend lists, what it is sent, what it answers to a post.

Every generation's list is read: a bare array, `{comments}`, `{messages}`. Readers are tolerant, because most fields are stored
as clients sent them: a name, colour or text may be missing, a timestamp may be a string, an id a number.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

from conversations.feed import fields, identity
from conversations.feed.errors import Malformed, Rejected
from conversations.feed.values import NAME_LIMIT, Accepted, BotParams, Direction, Endpoint, FeedMessage, Outgoing, Reject


def decode(body: bytes) -> object:
    """The JSON in `body`, without NUL and halves of a character, which Postgres cannot keep. Raises Malformed."""
    try:
        return _clean(json.loads(body))
    except (ValueError, RecursionError) as exc:
        beginning = body[:80].decode("utf-8", "replace")
        raise Malformed(f"the answer is not JSON but begins {beginning!r}", body=body.decode("utf-8", "replace")) from exc


def encode(payload: Mapping[str, object]) -> bytes:
    """`payload` as JSON in ASCII: no text a model wrote can fail to encode."""
    return json.dumps(payload, separators=(",", ":")).encode("ascii")


def _clean(value: object) -> object:
    if isinstance(value, str):
        return fields.scrub(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {fields.scrub(key): _clean(item) for key, item in value.items()}
    return value


def items(payload: object) -> list[object]:
    """The raw items of a list in any generation's wrapping. Raises Malformed."""
    if isinstance(payload, list):
        return payload
    if isinstance(payload, Mapping):
        for key in ("comments", "messages", "pending"):
            inner = payload.get(key)
            if isinstance(inner, list):
                return inner
    raise Malformed("the answer is neither a list of messages nor an object with comments or messages", body=json.dumps(payload))


def more(payload: object) -> bool:
    """Whether the plain form says that older messages exist."""
    return isinstance(payload, Mapping) and payload.get("hasMore") is True


def messages(raw: Iterable[object], direction: Direction = "low-first") -> tuple[tuple[FeedMessage, ...], tuple[Reject, ...]]:
    """The messages among `raw` in their order, and what is none with the reason."""
    good: list[FeedMessage] = []
    bad: list[Reject] = []
    for item in raw:
        try:
            good.append(message(item, direction))
        except Malformed as exc:
            bad.append(Reject(id=_label(item), reason=str(exc)))
    return tuple(good), tuple(bad)


def ordered(found: Iterable[FeedMessage]) -> tuple[FeedMessage, ...]:
    """`found` by (timestamp, id), each id once: of several copies the oldest, and of those the one read first."""
    once: dict[str, FeedMessage] = {}
    for each in sorted(found, key=lambda one: (one.timestamp, one.id)):
        once.setdefault(each.id, each)
    return tuple(once.values())


def message(item: object, direction: Direction = "low-first") -> FeedMessage:
    """One message. Raises Malformed, as a sentence, if it has no id or timestamp or its text is none."""
    if not isinstance(item, Mapping):
        raise Malformed(f"an item is {type(item).__name__}, not an object")
    raw_id = item.get("id")
    if isinstance(raw_id, bool) or not isinstance(raw_id, str | int) or not str(raw_id).strip():
        raise Malformed(f"the message's id is {raw_id!r}, neither text nor a whole number")
    timestamp = fields.millis(item.get("timestamp"))
    if timestamp is None:
        raise Malformed(f"message {raw_id} has the timestamp {item.get('timestamp')!r}, which is no time in milliseconds since 1970")
    text = item.get("text")
    if text is not None and not isinstance(text, str | int | float):
        raise Malformed(f"message {raw_id} has a {type(text).__name__} for a text")
    kind = fields.text(item.get("message-type")) or fields.text(item.get("messageType"))
    lines = item.get("context")
    params = item.get("botParams")
    return FeedMessage(
        id=str(raw_id),
        raw_id=raw_id,
        text=fields.text(text),
        username=fields.text(item.get("username")),
        color=identity.color(fields.text(item.get("color"))),
        domain=fields.text(item.get("domain")),
        kind="AI" if kind.strip().lower() == "ai" else "human",
        timestamp=timestamp,
        context=tuple(fields.text(line) for line in lines) if isinstance(lines, list) else None,
        reply_to=fields.text(item.get("replyTo")),
        bot_params=bot_params(params, direction) if isinstance(params, Mapping) else None,
        raw=item,
    )


def bot_params(params: Mapping[str, object], direction: Direction = "low-first") -> BotParams:
    """What a message says to bots; what is senseless counts as absent."""
    processed = params.get("processed")
    return BotParams(
        entity=fields.text(params.get("entity")),
        priority=fields.priority(params.get("priority"), direction),
        model=fields.text(params.get("model")),
        nom=fields.nom(params.get("nom")),
        ais=fields.text(params.get("ais")),
        processed=processed if isinstance(processed, bool) else None,
        session_id=fields.text(params.get("sessionId")),
        status=fields.text(params.get("status")),
        claimed_by=fields.text(params.get("claimedBy")),
        claimed_at=fields.millis(params.get("claimedAt")),
        completed_at=fields.millis(params.get("completedAt")),
        attempts=fields.whole(params.get("attempts")),
        human_username=fields.text(params.get("humanUsername")),
        human_color=identity.color(fields.text(params.get("humanColor"))),
    )


def refusal(outgoing: Outgoing, endpoint: Endpoint) -> Rejected | None:
    """Why the backend must not be sent `outgoing`: it would change it without a word, or refuse it."""
    length, width = identity.units(outgoing.text), identity.units(outgoing.username)
    if not outgoing.id.strip() or fields.millis(outgoing.timestamp) is None:
        return Rejected(f"message {outgoing.id!r} at {outgoing.timestamp} has no id or no time; both are fixed before the first attempt")
    if not outgoing.text.strip():
        return Rejected(f"message {outgoing.id} has no text; drop it instead of posting it")
    if length > endpoint.text_limit:
        return Rejected(f"message {outgoing.id} has {length} characters of text, the feed takes {endpoint.text_limit}; shorten it")
    if width > NAME_LIMIT or outgoing.username != outgoing.username.strip():
        return Rejected(
            f"message {outgoing.id} is by {outgoing.username!r} ({width} characters); a username has at most {NAME_LIMIT}"
            " and no blanks around it, or the backend changes it: rename the entity"
        )
    return None


def body(outgoing: Outgoing, endpoint: Endpoint) -> dict[str, object]:
    """The body of a post: the same for the same `outgoing`, however often."""
    built: dict[str, object] = {
        "id": outgoing.id,
        "text": outgoing.text,
        "timestamp": outgoing.timestamp,
        "username": outgoing.username,
        "color": identity.printed(outgoing.color, endpoint.generation),
        "domain": outgoing.domain,
        "message-type": outgoing.kind,
    }
    if outgoing.reply_to:
        built["replyTo"] = outgoing.reply_to
    if outgoing.context is not None:
        built["context"] = list(outgoing.context)
    if outgoing.bot_params is not None:
        params = dict(outgoing.bot_params)
        priority = fields.priority(params.get("priority"), endpoint.priority_direction)
        built["botParams"] = params if priority is None else params | {"priority": priority}
    return built


def accepted(payload: object, outgoing: Outgoing) -> Accepted:
    """The answer to a post: an id and no `error` is success, whatever else it says. Raises Malformed."""
    raw_id = payload.get("id") if isinstance(payload, Mapping) and not payload.get("error") else None
    if not isinstance(payload, Mapping) or isinstance(raw_id, bool) or not isinstance(raw_id, str | int) or raw_id == "":
        raise Malformed(f"the answer to the post of {outgoing.id} brings no id", body=json.dumps(payload))
    stored = fields.millis(payload.get("timestamp"))
    return Accepted(
        id=str(raw_id),
        duplicate=payload.get("status") == "duplicate",
        timestamp=outgoing.timestamp if stored is None else stored,
    )


def _label(item: object) -> str:
    """A stable name for an item that is no message."""
    raw_id = item.get("id") if isinstance(item, Mapping) else None
    if isinstance(raw_id, str | int) and not isinstance(raw_id, bool) and raw_id != "":
        return str(raw_id)
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()[:16]
