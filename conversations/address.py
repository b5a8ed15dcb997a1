"""A feed and a message row, in the words of the client and of the logic; how often a feed is polled."""

from django.conf import settings

from conversations.feed.values import Direction, Endpoint, Generation
from conversations.logic.message import Line
from conversations.models import Feed, Message


def endpoint(feed: Feed) -> Endpoint:
    """Where and how to speak to a feed whose generation is known."""
    direction: Direction = "high-first" if feed.priority_direction == Feed.Priority.HIGH_FIRST else "low-first"
    return Endpoint(
        url=feed.url,
        generation=Generation(feed.spoken),
        priority_direction=direction,
        text_limit=min(1000, feed.max_text),
        origin=feed.origin,
    )


def line(row: Message) -> Line:
    """A message's row as a value."""
    return Line(
        id=row.pk,
        remote_id=row.remote_id,
        text=row.text,
        username=row.username,
        color=row.color,
        kind=row.kind,
        timestamp=row.timestamp,
        born=row.born_at,
        own=row.own,
        context=None if row.context is None else tuple(str(c) for c in row.context),
        params=row.bot_params,
        domain=row.domain,
        reply_to=row.reply_to,
        conversation=row.conversation,
    )


def interval(feed: Feed) -> float:
    """Seconds between polls: POLLING_INTERVAL, if it is set, otherwise the feed's own."""
    return settings.POLLING_INTERVAL / 1000 if settings.POLLING_INTERVAL else feed.poll_interval_s


def dry(feed: Feed) -> bool:
    """Whether we only look on: nothing is posted there, and nothing is taken from its queue."""
    return bool(settings.DRY_RUN) or feed.dry_run
