"""Step 2: keep each message once; the cursor moves in the same transaction."""

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from conversations.address import interval
from conversations.feed.values import BotParams, FeedMessage, Generation
from conversations.logic.cadence import next_poll
from conversations.logic.haul import Haul
from conversations.logic.lifecycle import Debt
from conversations.models import Feed, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step

CLAIM_EVERY = timedelta(seconds=30)
"""The feed's queue is looked at so often even when the chat shows nothing in it."""

_told: set[str] = set()


def ingest(haul: Haul, now: datetime) -> int:
    """Store what a poll brought. Returns how many messages are new."""
    with transaction.atomic():
        feed = Feed.objects.select_for_update(no_key=True).get(pk=haul.target.feed_id)
        if not feed.spoken:
            say("feed.detected", f"{feed.name} is a {haul.generation} backend", subject=f"feed:{feed.name}")
        claimed = {m.id: m for m in haul.claimed}
        generation = Generation(haul.generation)
        found = [*(m for m in haul.page.messages if m.id not in claimed), *claimed.values()]
        fresh = _insert(feed, generation, found, set(claimed), now)
        for reject in haul.page.rejected:
            _tell_once(feed, reject.id, reject.reason)
        if not haul.page.complete:
            say("feed.gap", f"{feed.name}: more came than could be read back; the oldest may be missing", level=Level.WARNING)
        step("ingest.inside")
        if feed.failures:
            say("feed.recovered", f"{feed.name} answers again", subject=f"feed:{feed.name}")
        present = clock.millis(now)
        past = [m.timestamp for m in haul.page.messages if m.timestamp <= present]  # anybody may post a message from the future
        if past or feed.cursor is None:
            feed.cursor = max([*past, feed.cursor or 0]) or present
        feed.detected = haul.generation
        feed.failures, feed.error = 0, ""
        feed.polled_at = now
        feed.poll_at = next_poll(now, interval(feed), 0, random.random)
        if generation.traits.queue:
            feed.claim_at = now if haul.doubtful else now + CLAIM_EVERY if haul.target.claim else feed.claim_at
        feed.save()
        return fresh


def _insert(feed: Feed, generation: Generation, found: Iterable[FeedMessage], claimed: set[str], now: datetime) -> int:
    messages = {m.id: m for m in found}
    known = {row.remote_id: row for row in Message.objects.filter(feed=feed, remote_id__in=messages)}
    own = set(Reply.objects.filter(outgoing_id__in=messages).values_list("outgoing_id", flat=True))
    rows = []
    for message in messages.values():
        ours = message.id in claimed or _claimed_by_us(feed, message)
        params = _params(message.bot_params)
        if message.id in known:
            _update(known[message.id], params, ours)
            continue
        rows.append(
            Message(
                feed=feed,
                remote_id=message.id,
                raw_id=message.raw_id,
                timestamp=message.timestamp,
                kind=message.kind,
                username=message.username[:200],
                color=message.color[:100],
                domain=message.domain[:200],
                text=message.text,
                context=None if message.context is None else list(message.context),
                bot_params=params,
                reply_to=message.reply_to[:200],
                own=message.id in own,
                received_at=now,
                state=_debt(generation, message, ours),
                settle_at=now,
            )
        )
    Message.objects.bulk_create(rows)
    return len(rows)


def _claimed_by_us(feed: Feed, message: FeedMessage) -> bool:
    params = message.bot_params
    return params is not None and params.status == "processing" and params.claimed_by == feed.worker


def _debt(generation: Generation, message: FeedMessage, ours: bool) -> Debt:
    """What we will owe the feed: the end of a claim, or the mark that its October generation asks for."""
    if generation.traits.queue:
        return Debt.OWED if ours else Debt.NONE
    params = message.bot_params
    marked = generation.traits.mark and params is not None and bool(params.entity) and params.processed is False
    return Debt.OWED if marked and message.kind == "human" else Debt.NONE


def _update(row: Message, params: dict[str, Any] | None, ours: bool) -> None:
    """What may still change of a message that is not decided: who has claimed it."""
    if row.decided_at is not None or params is None or (params == row.bot_params and not ours):
        return
    changes: dict[str, Any] = {"bot_params": params}
    if ours and row.state == Debt.NONE:
        changes["state"] = Debt.OWED
    Message.objects.filter(pk=row.pk, decided_at__isnull=True).update(**changes)


def _params(params: BotParams | None) -> dict[str, Any] | None:
    if params is None:
        return None
    return {
        "entity": params.entity,
        "priority": params.priority,
        "model": params.model,
        "nom": params.nom,
        "ais": params.ais,
        "processed": params.processed,
        "session": params.session_id,
        "status": params.status,
        "claimed_by": params.claimed_by,
    }


def _tell_once(feed: Feed, ident: str, reason: str) -> None:
    """An unreadable item stays in the list for a while: it is worth one line, not one per poll."""
    key = f"{feed.pk}:{ident}"
    if key not in _told:
        if len(_told) > 10_000:
            _told.clear()
        _told.add(key)
        say("message.rejected", f"{feed.name}: message {ident} cannot be read: {reason}", subject=f"feed:{feed.name}", level=Level.WARNING)
