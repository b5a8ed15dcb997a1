"""A person wants an answer again that ended without a post.

::

    failed or dropped, with a text          → ready: the same id and time, so that an earlier attempt that did arrive is found and not doubled
    failed or dropped, without              → waiting: the same request again, as soon as the limits allow
    on its way, posted, dry run, switched off → refused, with the reason

What a persona decided not to answer has no reply and cannot be wanted again.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from cluster import read
from conversations.address import dry
from conversations.feed.fields import scrub
from conversations.logic.delivery import GRANTED
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from entities import spend
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.events import say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

NAME = 200


class Refused(BotError):
    """An answer that cannot be wanted again, or not now."""

    code = "not-requeued"
    fault = Fault.OPERATOR


def requeue(reply_id: int, who: str) -> ReplyState:
    """Want an answer again; returns where it goes on: ready or waiting. Raises Refused."""
    now = clock.now()
    with transaction.atomic():
        rows = Reply.objects.select_for_update(no_key=True, of=("self",)).select_related("message__feed", "entity")
        reply = rows.filter(pk=reply_id).first()
        if reply is None:
            raise Refused(f"There is no reply {reply_id}.")
        _check(reply)
        values: dict[str, Any] = {
            "judged_by": scrub(who)[:NAME],
            "judged_at": now,
            "deadline": now + GRANTED,
            "ended_at": None,
            "reason": "",
            "attempts": 0,
            "attempt_at": None,
            "accepted_at": None,
        }
        state = _again(reply, values, now) if reply.text else _anew(reply, values, now)
        step("requeue.inside")
        say("reply.requeued", f"{who} wants the answer of {reply.username} again", subject=f"reply:{reply.pk}", state=state.value)
        wake(Channel.DELIVER, Channel.LISTEN)
    return state


def _check(reply: Reply) -> None:
    feed = reply.message.feed
    if reply.state == ReplyState.POSTED:
        raise Refused(f"Reply {reply.pk} is posted already.")
    if reply.state not in (ReplyState.FAILED, ReplyState.DROPPED):
        raise Refused(f"Reply {reply.pk} is {reply.state}: it is on its way already.")
    if dry(feed):
        raise Refused(f"Nothing is posted to {feed.name}: it is a dry run. Switch that off first.")
    if not feed.enabled:
        raise Refused(f"{feed.name} is switched off. Switch it on first.")
    if not reply.entity.enabled:
        raise Refused(f"{reply.entity.slug} is switched off. Switch it on first.")


def _again(reply: Reply, values: dict[str, Any], now: datetime) -> ReplyState:
    """Post the text that is there; an edited one stays edited."""
    reservation = spend.reserve(reply.entity_id, now, feed=reply.message.feed_id)
    if reservation.permit_id is None:
        free = reservation.quota.free_at
        when = f" Try again after {free:%H:%M:%S} UTC." if free else ""
        raise Refused(f"The limits of {reply.entity.slug} do not allow it now: {reservation.quota.why}.{when}")
    moved(reply, reply.state, ReplyState.READY, permit_id=reservation.permit_id, ready_at=now, **values)
    return ReplyState.READY


def _anew(reply: Reply, values: dict[str, Any], now: datetime) -> ReplyState:
    """Ask the model again, as soon as the limits allow; what was written before stays on record."""
    drafts = list(reply.drafts)
    if reply.prepared is None:
        asked = read.asked(reply.generation_id) if reply.generation_id else None
        if asked is None:
            raise Refused(f"The request of reply {reply.pk} is not kept any more, so it cannot be asked again.")
        values["prepared"] = {"model": asked.model, "priority": asked.priority, "request": asked.request}
        drafts.append({"generation": reply.generation_id, "text": asked.text, "why": reply.reason})
    moved(reply, reply.state, ReplyState.WAITING, generation_id=None, permit_id=None, permit_at=now, drafts=drafts, **values)
    return ReplyState.WAITING
