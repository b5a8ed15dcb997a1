"""Step 3: what surrounds a message: the window before it, how long bots have been among themselves, whether it is ours to answer."""

from datetime import datetime
from itertools import takewhile

from conversations.address import dry, line
from conversations.feed.values import Generation
from conversations.logic.lifecycle import Debt
from conversations.logic.message import Line
from conversations.logic.verdict import Room, Scene
from conversations.models import Feed, Message


def window(message: Message, lines: int) -> tuple[Line, ...]:
    """The last `lines` messages of the feed up to and without this one, oldest first."""
    rows = Message.objects.filter(feed_id=message.feed_id, timestamp__lte=message.timestamp).exclude(pk=message.pk)
    return tuple(line(row) for row in reversed(rows.defer("verdict").order_by("-timestamp", "-id")[:lines]))


def analyse(message: Message, feed: Feed, lines: int, now: datetime) -> Scene:
    """Everything that the verdict on `message` depends on, besides the personas."""
    before = window(message, max(lines, feed.max_bot_run + 1))
    run = sum(1 for _ in takewhile(lambda one: not one.human, reversed(before))) + (message.kind != "human")
    is_open, why = opened(message, feed)
    room = Room(now=now, bot_run=run, max_bot_run=feed.max_bot_run, max_repliers=feed.max_repliers, open=is_open, why_closed=why)
    return Scene(message=line(message), window=before, room=room)


def opened(message: Message, feed: Feed) -> tuple[bool, str]:
    """Whether a directed message still waits for an answer and is ours. Only an explicit word of the feed opens it."""
    params = message.bot_params or {}
    traits = Generation(feed.spoken).traits
    if traits.queue:
        if message.state == Debt.OWED or (dry(feed) and params.get("status") == "pending"):
            return True, ""
        return False, f"claimed by {params['claimed_by']}" if params.get(
            "claimed_by"
        ) else f"its state in the queue is {params.get('status') or 'unknown'}"
    if params.get("processed") is False:
        return True, ""
    return False, "it is marked as processed" if params.get("processed") else "it is not marked as unprocessed"
