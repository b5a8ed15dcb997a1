"""Step 1: ask the feed what is new since the cursor, with an overlap window, and take what waits in its queue.

Network only, except `due` and `failed`. One engine at a time polls a feed, by the lease in its row.
"""

import asyncio
import random
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from conversations import agenda
from conversations.address import dry, endpoint, interval
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

AT_ONCE = 8
"""Messages claimed per poll: what is claimed is stored before more is taken."""


def due(owner: int, now: datetime) -> list[Target]:
    """The feeds that this engine should poll now, their leases taken."""
    waiting = Feed.objects.filter(enabled=True).filter(Q(poll_at__isnull=True) | Q(poll_at__lte=now))
    if not agenda.due(now):
        return []
    targets = []
    free = Q(lease_owner__isnull=True) | Q(lease_owner=owner) | abandoned(now, living())
    for feed in waiting.filter(free):
        if not Feed.objects.filter(free, pk=feed.pk).update(**taken(owner, now)):
            continue
        unclaimed = Message.objects.filter(feed=feed, decided_at__isnull=True, bot_params__status="pending")
        pending = dict(unclaimed.order_by().values_list("remote_id", "timestamp"))
        oldest = min(pending.values(), default=None)
        after = None if feed.cursor is None else min(feed.cursor, clock.millis(now)) - int(feed.overlap_s * 1000)
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
                dry=dry(feed),
                pending=frozenset(pending),
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
    asked_at = clock.now()
    page = await client.fetch(where, after=target.after)
    haul = Haul(target=target, asked_at=asked_at, generation=where.generation.value, page=page)
    waiting = len(target.pending | {m.id for m in page.messages if _waits(m)})
    if target.dry or not where.generation.traits.queue or not (target.claim or waiting):
        return haul
    try:
        claimed, more = await _claims(client, where, target.worker, entities, waiting)
    except FeedError as error:  # the chat can be read all the same
        return replace(haul, trouble=str(error))
    return replace(haul, claimed=claimed, more=more)


def _waits(message: FeedMessage) -> bool:
    return message.bot_params is not None and message.bot_params.status == "pending"


async def _claims(client: Client, where: Endpoint, worker: str, entities: frozenset[str], waiting: int) -> tuple[list[FeedMessage], bool]:
    """Take what waits, a few at a time; whether more may be there. A claim whose answer is lost shows later as claimed by us."""
    if where.generation is Generation.DO:
        tries = max(1, min(AT_ONCE, waiting))
        answers = await asyncio.gather(*(client.claim_next(where, worker) for _ in range(tries)), return_exceptions=True)
    else:
        ours = [m for m in await client.pending(where, limit=100) if m.bot_params and m.bot_params.entity in entities]
        tries = max(1, min(AT_ONCE, len(ours)))
        answers = []
        for message in ours[:tries]:  # its claims rewrite the shared list: one after the other
            answers += await asyncio.gather(client.claim(where, message.raw_id, worker), return_exceptions=True)
    claimed = [one for one in answers if isinstance(one, FeedMessage)]
    for one in answers:
        if isinstance(one, BaseException) and not isinstance(one, (Ambiguous, Conflict, NotFound)) and not claimed:
            raise one
    return claimed, len(claimed) == tries and waiting > 0


def failed(target: Target, error: Exception) -> None:
    """Record that a poll failed and when to try again; say so once."""
    now = clock.now()
    code = error.code if isinstance(error, FeedError) else type(error).__name__
    with transaction.atomic():
        feed = Feed.objects.select_for_update(no_key=True).get(pk=target.feed_id)
        feed.failures += 1
        if feed.failures == 1 or feed.error != str(error):
            say("feed.failed", f"{feed.name}: {error}", subject=f"feed:{feed.name}", level=Level.ERROR, code=code)
        feed.error = str(error)
        feed.poll_at = next_poll(now, interval(feed), feed.failures, random.random)
        feed.save(update_fields=["failures", "error", "poll_at"])
