"""Step 2: keep each message once; the cursor moves in the same transaction."""

import random
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from conversations import company
from conversations.address import dry, interval
from conversations.feed.values import BotParams, FeedMessage, Generation
from conversations.logic import grouping
from conversations.logic.cadence import next_poll
from conversations.logic.cast import Cast
from conversations.logic.haul import Haul
from conversations.logic.lifecycle import Debt, ReplyState
from conversations.logic.talk import talk
from conversations.models import Feed, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.transitions import moved

LONGEST_ID = 200
"""Characters of a feed id that are kept."""

LOOKING = timedelta(minutes=1)
"""Who polled so recently sees messages as they appear, whatever their authors' clocks say."""

CERTAIN = timedelta(seconds=90)
"""A post on a KV backend that shows once may still be overwritten; it is looked after for so long."""

CLAIM_EVERY = timedelta(seconds=30)
"""The feed's queue is looked at so often even when the chat shows nothing in it."""

FORGOTTEN: Final = {"verdict": {"why": "it is older than what is kept of this feed, and may have been answered"}}

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
        if not generation.traits.serial and haul.page.complete:
            _miss(feed, haul)
        for reject in haul.page.rejected:
            _tell_once(feed, reject.id, f"message {reject.id} cannot be read: {reject.reason}")
        if not haul.page.complete:
            say("feed.gap", f"{feed.name}: more came than could be read back; the oldest may be missing", level=Level.WARNING)
        step("ingest.inside")
        if feed.failures:
            say("feed.recovered", f"{feed.name} answers again", subject=f"feed:{feed.name}")
        present = clock.millis(now)
        past = [m.timestamp for m in haul.page.messages if m.timestamp <= present]  # anybody may post a message from the future
        if past:
            feed.cursor = max(*past, feed.cursor or 0) if feed.cursor else max(past)
        feed.detected = haul.generation
        feed.failures, feed.error = 0, ""
        feed.polled_at = now
        feed.poll_at = next_poll(now, interval(feed), 0, random.random)
        if generation.traits.queue:
            feed.claim_at = now if haul.more else now + CLAIM_EVERY if haul.target.claim else feed.claim_at
            if haul.more:
                feed.poll_at = now
            if haul.trouble:
                _tell_once(feed, haul.trouble, f"its queue cannot be used: {haul.trouble}")
        feed.save()
        return fresh


def _insert(feed: Feed, generation: Generation, found: Iterable[FeedMessage], claimed: set[str], now: datetime) -> int:
    messages = {m.id: m for m in found}
    for ident in [ident for ident in messages if len(ident) > LONGEST_ID]:
        _tell_once(feed, ident[:60], f"message {ident[:60]}… has an id of more than {LONGEST_ID} characters")
        del messages[ident]
    looking = feed.polled_at is not None and now - feed.polled_at < LOOKING + timedelta(seconds=2 * interval(feed))
    rows_known = Message.objects.filter(feed=feed, remote_id__in=messages)
    known = {row.remote_id: row for row in rows_known.only("remote_id", "decided_at", "bot_params", "state")}
    own = dict(Reply.objects.filter(outgoing_id__in=messages, message__feed=feed).values_list("outgoing_id", "message__conversation"))
    _forget(feed, messages, {*known, *claimed})
    talks = _talks(feed, [message for message in messages.values() if message.id not in known], own)
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
                kind="AI" if message.id in own else message.kind,  # whatever the feed makes of it, no human said it
                username=message.username[:200],
                color=message.color[:100],
                domain=message.domain[:200],
                conversation=talks[message.id],
                text=message.text,
                context=None if message.context is None else list(message.context),
                bot_params=params,
                reply_to=message.reply_to[:200],
                own=message.id in own,
                received_at=now,
                born_at=now if looking else clock.moment(max(0, min(message.timestamp, clock.millis(now)))),
                state=Debt.NONE if dry(feed) else _debt(generation, message, ours),
                settle_at=now,
                **(FORGOTTEN | {"decided_at": now} if _forgotten(feed, message) else {}),
            )
        )
    Message.objects.bulk_create(rows)
    return len(rows)


def _forget(feed: Feed, messages: dict[str, FeedMessage], keep: Container[str]) -> None:
    """Leave out what is as old as messages whose rows have gone: nobody knows any more whether it was answered. What the feed's queue
    has just handed out stays, for the feed waits to hear of it.
    """
    for ident in [ident for ident, message in messages.items() if ident not in keep and _forgotten(feed, message)]:
        del messages[ident]


def _forgotten(feed: Feed, message: FeedMessage) -> bool:
    return feed.forgotten is not None and message.timestamp <= feed.forgotten


def _talks(feed: Feed, fresh: Sequence[FeedMessage], own: Mapping[str | None, str]) -> dict[str, str]:
    """Which conversation each new message is part of: what bots reply belongs to what they reply to, and so do our own posts."""
    answers = {message.id: message.reply_to for message in fresh if message.kind == "AI" and message.reply_to}
    known = dict(own)
    if answers:
        known |= dict(Message.objects.filter(feed=feed, remote_id__in={*answers.values()}).values_list("remote_id", "conversation"))
    cast = company.cast()
    for message in fresh:
        if message.id not in known and message.id not in answers:
            known[message.id] = _talk(feed, cast, message)
    found: dict[str, str] = {}
    for message in fresh:
        way, at = dict[str, None](), message.id
        while at not in known and at in answers and at not in way:
            way[at] = None
            at = answers[at]
        key = known[at] if at in known else grouping.room(message.domain[:200], feed.domain)
        known.update(dict.fromkeys(way, key))
        found[message.id] = key
    return found


def _talk(feed: Feed, cast: Cast, message: FeedMessage) -> str:
    """The conversation of a message that answers nobody."""
    params = message.bot_params if message.kind == "human" else None
    entity, wish = (params.entity or "", params.ais or "") if params else ("", "")
    return talk((message.username, message.color), message.domain[:200], feed.domain, cast, entity=entity, wish=wish)


def _miss(feed: Feed, haul: Haul) -> None:
    """Posts of ours that were seen and are not there any more: somebody wrote over them. They are looked for again."""
    seen = {message.id for message in haul.page.messages}
    posted = Reply.objects.filter(
        message__feed=feed, state=ReplyState.POSTED, ended_at__gt=haul.asked_at - CERTAIN, ended_at__lt=haul.asked_at
    )
    for reply in posted.filter(outgoing_timestamp__gt=haul.target.after or 0).exclude(outgoing_id__in=seen):
        if moved(reply, ReplyState.POSTED, ReplyState.POSTING, ended_at=None, attempt_at=haul.asked_at):
            say(
                "reply.missed",
                f"{feed.name} does not show the post of {reply.username} any more",
                subject=f"reply:{reply.pk}",
                level=Level.WARNING,
            )


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
        say("message.rejected", f"{feed.name}: {reason}", subject=f"feed:{feed.name}", level=Level.WARNING)
