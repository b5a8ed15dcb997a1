"""After the last step: tell the feed's own queue that a message is dealt with. Awaited and repeated; our own record stands anyway."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from conversations import outbox
from conversations.address import endpoint
from conversations.feed.client import Client
from conversations.feed.errors import FeedError, NotFound, RateLimited
from conversations.feed.values import Endpoint, Generation
from conversations.logic.cadence import next_attempt
from conversations.logic.lifecycle import ENDED, Debt, EnsembleState, ReplyState
from conversations.models import Ensemble, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.transitions import move
from swwbot_site.lib.written import Written, together

AT_ONCE = 20

HOLD = timedelta(seconds=30)
"""A debt that is being settled is left alone for so long by others."""


OPEN: Final = Written(lambda: Reply.objects.exclude(state__in=(*ENDED, ReplyState.HELD)).order_by().values_list("pk")[:1])
OWED: Final = Written(lambda: Message.objects.filter(state=Debt.OWED).order_by().values_list("pk")[:1])
SPEAKING: Final = Written(lambda: Ensemble.objects.filter(state=EnsembleState.RUNNING).order_by().values_list("pk")[:1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A message whose replies have all ended, and the feed does not know yet."""

    message_id: int
    raw_id: str | int
    endpoint: Endpoint
    attempt: int


def anything() -> bool:
    """Whether there is anything to deliver at all, what waits for a person apart: one question instead of many while nothing happens."""
    return any(together(OPEN.text(), OWED.text(), SPEAKING.text()))


def due(now: datetime) -> list[Due]:
    """What should be settled now. A KV backend rewrites its shared list for each: there one at a time, in turn with the posts.

    The global stop holds this too: it writes to the feed, and nothing is lost by telling it later.
    """
    open_replies = Reply.objects.exclude(state__in=ENDED).values("message_id")
    owed = Message.objects.filter(state=Debt.OWED, decided_at__isnull=False, settle_at__lte=now).exclude(pk__in=open_replies)
    feeds = outbox.writable(now).filter(pk__in=owed.order_by().values("feed_id"))
    if not Message.objects.filter(state=Debt.OWED).exists() or outbox.stops().exists():
        return []
    debts: list[Due] = []
    for feed_id in feeds.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            debts.extend(_due(feed_id, owed.filter(feed_id=feed_id), now))
    return debts


def _due(feed_id: int, owed: QuerySet[Message], now: datetime) -> list[Due]:
    feed = outbox.lock(feed_id, now)
    if feed is None or not outbox.may_write():
        return []
    chosen = list(
        owed.select_for_update(no_key=True, of=("self",), skip_locked=True).order_by("settle_at")[
            : AT_ONCE if Generation(feed.spoken).traits.serial else 1
        ]
    )
    if not chosen or not outbox.turn(feed, now):
        return []
    Message.objects.filter(pk__in=[m.pk for m in chosen]).update(settle_at=now + HOLD)
    return [Due(message_id=m.pk, raw_id=m.raw_id, endpoint=endpoint(feed), attempt=m.settle_attempts + 1) for m in chosen]


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
        if isinstance(error, RateLimited):
            again = now + timedelta(seconds=error.retry_after_s + 1)
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
