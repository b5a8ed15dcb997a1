"""The wire format of the backend's own queue: messages directed at an entity, claimed and completed by id."""

import json
from collections.abc import Mapping

from conversations.feed import wire
from conversations.feed.errors import Malformed
from conversations.feed.values import Direction, FeedMessage


def claim(message_id: str | int, worker: str) -> dict[str, object]:
    """The body of a claim. `message_id` is the raw id: the newest backend compares strictly."""
    return {"messageId": message_id, "workerId": worker}


def claimed(payload: object, direction: Direction) -> FeedMessage:
    """The message a claim handed out. Raises Malformed."""
    if isinstance(payload, Mapping) and payload.get("success") is True:
        return wire.message(payload.get("message"), direction)
    raise Malformed("the answer to a claim brings no message", body=json.dumps(payload))


def handed(payload: object, direction: Direction) -> FeedMessage | None:
    """The message `claim-next` handed out, None if the queue is empty. Raises Malformed."""
    if isinstance(payload, Mapping) and payload.get("success") is False and payload.get("message") is None:
        return None
    return claimed(payload, direction)


def done(payload: object) -> None:
    """Nothing, if a queue operation says it succeeded. Raises Malformed."""
    if not isinstance(payload, Mapping) or payload.get("success") is not True:
        raise Malformed("the answer to a queue operation does not say success", body=json.dumps(payload))


def failed(payload: object) -> str:
    """Where the message stands after `fail`: `pending`, it will be handed out again, or `failed`. Raises Malformed."""
    done(payload)
    status = payload.get("status") if isinstance(payload, Mapping) else None
    if not isinstance(status, str):
        raise Malformed("the answer to fail names no status", body=json.dumps(payload))
    return status
