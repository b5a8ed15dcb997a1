"""After the last step: tell the feed's own queue that a message is dealt with. Awaited and repeated; our own record stands anyway."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q

from conversations.address import dry, endpoint
from conversations.feed.client import Client
from conversations.feed.errors import FeedError, NotFound
from conversations.feed.values import Endpoint, Generation
from conversations.logic.cadence import next_attempt
from conversations.logic.lifecycle import ENDED, Debt
from conversations.models import Feed, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.transitions import move
from swwbot_site.lib.written import Written, together

AT_ONCE = 20

HOLD = timedelta(seconds=30)
"""A debt that is being settled is left alone for so long by others."""


OPEN: Final = Written(lambda: Reply.objects.exclude(state__in=ENDED).order_by().values_list("pk")[:1])
OWED: Final = Written(lambda: Message.objects.filter(state=Debt.OWED).order_by().values_list("pk")[:1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A message whose replies have all ended, and the feed does not know yet."""

    message_id: int
    raw_id: str | int
    endpoint: Endpoint
    attempt: int


def anything() -> bool:
    """Whether there is anything to deliver at all: one question instead of many while nothing happens."""
    return any(together(OPEN.text(), OWED.text()))


def due(now: datetime) -> list[Due]:
    """What should be settled now. A KV backend rewrites its shared list for each: there one at a time, in turn with the posts."""
    if not Message.objects.filter(state=Debt.OWED).exists():
        return []
    open_replies = Reply.objects.exclude(state__in=ENDED).values("message_id")
    rows = Message.objects.filter(state=Debt.OWED, decided_at__isnull=False, settle_at__lte=now).exclude(pk__in=open_replies)
    with transaction.atomic():
        rows = rows.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("feed")
        chosen = [message for message in rows.order_by("settle_at")[:AT_ONCE] if _turn(message.feed, now)]
        Message.objects.filter(pk__in=[m.pk for m in chosen]).update(settle_at=now + HOLD)
    return [Due(message_id=m.pk, raw_id=m.raw_id, endpoint=endpoint(m.feed), attempt=m.settle_attempts + 1) for m in chosen]


def _turn(feed: Feed, now: datetime) -> bool:
    """Whether a feed may be written to now; on a KV backend this takes the turn that a post would take."""
    if dry(feed) or not feed.spoken:
        return False
    if Generation(feed.spoken).traits.serial:
        return True
    free = Q(post_at__isnull=True) | Q(post_at__lte=now)
    return bool(Feed.objects.filter(free, pk=feed.pk).update(post_at=now + timedelta(seconds=feed.post_interval_s)))


async def settle(client: Client, debt: Due) -> FeedError | None:
    """Complete the claim, or set the mark. A message that the feed does not find any more is settled: our record stands."""
    try:
        if debt.endpoint.generation.traits.queue:
            await client.complete(debt.endpoint, debt.raw_id)
        else:
            await client.mark_processed(debt.endpoint, debt.raw_id)
    except NotFound:
        return None
    except FeedError as error:
        return error
    return None


def settled(debt: Due, error: FeedError | None) -> None:
    """Record how it went."""
    now = clock.now()
    rows = Message.objects.filter(pk=debt.message_id)
    with transaction.atomic():
        if error is None:
            move(rows, Debt.OWED, Debt.SETTLED, settle_attempts=debt.attempt)
            return
        again = next_attempt(now, debt.attempt, random.random)
        if again:
            rows.filter(state=Debt.OWED).update(settle_at=again, settle_attempts=debt.attempt)
            return
        move(rows, Debt.OWED, Debt.GIVEN_UP, settle_attempts=debt.attempt)
        say(
            "message.unsettled",
            f"The feed could not be told that message {debt.raw_id} is answered: {error}",
            subject=f"message:{debt.message_id}",
            level=Level.ERROR,
        )
