"""Step 1: ask the feed what is new since the cursor, with an overlap window, and take what waits in its queue.

Network only, except `due` and `failed`. One engine at a time polls a feed, by the lease in its row.
"""

import random
from datetime import datetime

from django.db import transaction
from django.db.models import Min, Q

from conversations.address import endpoint, interval
from conversations.feed.client import Client
from conversations.feed.errors import Ambiguous, Conflict, FeedError, NotFound
from conversations.feed.values import Endpoint, FeedMessage, Generation
from conversations.logic.cadence import next_poll
from conversations.logic.haul import Haul, Target
from conversations.models import Feed, Message
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import abandoned, living, taken

FARTHEST_MS = 3_600_000
"""How far back an undecided message keeps the window open."""


def due(owner: int, now: datetime) -> list[Target]:
    """The feeds that this engine should poll now, their leases taken."""
    waiting = Feed.objects.filter(enabled=True).filter(Q(poll_at__isnull=True) | Q(poll_at__lte=now))
    if not waiting.exists():
        return []
    targets = []
    free = Q(lease_owner__isnull=True) | Q(lease_owner=owner) | abandoned(now, living())
    for feed in waiting.filter(free):
        if not Feed.objects.filter(free, pk=feed.pk).update(**taken(owner, now)):
            continue
        unclaimed = Message.objects.filter(feed=feed, decided_at__isnull=True, bot_params__status="pending")
        oldest = unclaimed.aggregate(oldest=Min("timestamp"))["oldest"]
        after = None if feed.cursor is None else feed.cursor - int(feed.overlap_s * 1000)
        if after is not None and oldest is not None and feed.cursor is not None:
            after = min(after, max(oldest - 1, feed.cursor - FARTHEST_MS))
        targets.append(
            Target(
                feed_id=feed.pk,
                name=feed.name,
                url=feed.url,
                generation=feed.spoken,
                endpoint=endpoint(feed) if feed.spoken else None,
                after=after,
                worker=feed.worker,
                claim=feed.claim_at is None or feed.claim_at <= now,
                pending=frozenset(unclaimed.values_list("remote_id", flat=True)),
            )
        )
    return targets


async def poll(client: Client, target: Target, entities: frozenset[str]) -> Haul:
    """Ask one feed. `entities` are the ids of our entities. Raises FeedError."""
    if target.endpoint is None:
        generation = await client.detect(target.url)
        where = Endpoint(url=target.url, generation=generation)
    else:
        where = target.endpoint
    page = await client.fetch(where, after=target.after)
    claimed: list[FeedMessage] = []
    doubtful = False
    if where.generation.traits.queue and (target.claim or target.pending or any(_waits(m) for m in page.messages)):
        claimed, doubtful = await _claims(client, where, target.worker, entities)
    return Haul(target=target, generation=where.generation.value, page=page, claimed=claimed, doubtful=doubtful)


def _waits(message: FeedMessage) -> bool:
    return message.bot_params is not None and message.bot_params.status == "pending"


async def _claims(client: Client, where: Endpoint, worker: str, entities: frozenset[str]) -> tuple[list[FeedMessage], bool]:
    """Take what waits. A claim whose answer is lost shows later in the feed as claimed by us, and is picked up then."""
    claimed: list[FeedMessage] = []
    try:
        if where.generation is Generation.DO:
            while (message := await client.claim_next(where, worker)) is not None:
                claimed.append(message)
            return claimed, False
        for message in await client.pending(where, limit=100):
            if message.bot_params is None or message.bot_params.entity not in entities:
                continue
            try:
                claimed.append(await client.claim(where, message.raw_id, worker))
            except (Conflict, NotFound):
                continue
    except Ambiguous:
        return claimed, True
    except FeedError:
        if not claimed:
            raise
    return claimed, False


def failed(target: Target, error: FeedError) -> None:
    """Record that a poll failed and when to try again; say so once."""
    now = clock.now()
    with transaction.atomic():
        feed = Feed.objects.select_for_update(no_key=True).get(pk=target.feed_id)
        feed.failures += 1
        if feed.failures == 1 or feed.error != str(error):
            say("feed.failed", f"{feed.name}: {error}", subject=f"feed:{feed.name}", level=Level.ERROR, code=error.code)
        feed.error = str(error)
        feed.poll_at = next_poll(now, interval(feed), feed.failures, random.random)
        feed.save(update_fields=["failures", "error", "poll_at"])
