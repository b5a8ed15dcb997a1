"""From a yes to the cluster's queue: the permit or a place in the line before the limits, and then the generation.

A reply stands in line while it is `waiting` and has a `permit_at`, which is when it is to ask again. There is one line for each entity in
each feed: the most urgent first, of those the oldest. Whoever comes later leaves a place free for those who stand in line already.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Count, QuerySet

from cluster import queue
from cluster.logic.request import Request
from conversations.logic import turnstile
from conversations.logic.lifecycle import Mode, ReplyState
from conversations.models import Reply
from conversations.strikes import struck
from entities import spend
from entities.logic.persona import Persona
from entities.logic.quota import Quota
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.transitions import moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the limits say to a yes: a permit; or a place in line, to ask again at `permit_at`; or never, because of `refused`."""

    quota: Quota
    permit_id: int | None = None
    permit_at: datetime | None = None
    refused: str = ""


def in_line() -> QuerySet[Reply]:
    """The replies that wait for their limits."""
    return Reply.objects.filter(state=ReplyState.WAITING, generation__isnull=True, permit_at__isnull=False)


def grant(persona: Persona, mode: Mode, feed_id: int, deadline: datetime, now: datetime) -> Grant:
    """Ask the limits for a new yes; what they refuse waits, or is refused for good (`logic.turnstile`)."""
    reservation = spend.reserve(persona.id, now, feed=feed_id, ahead=turnstile.ahead(_lines(), (persona.id, feed_id)))
    quota = reservation.quota
    if reservation.permit_id is not None:
        return Grant(quota=quota, permit_id=reservation.permit_id)
    if refused := turnstile.refused(quota, persona, mode, deadline):
        return Grant(quota=quota, refused=refused)
    return Grant(quota=quota, permit_at=quota.free_at)


def _lines() -> dict[turnstile.Line, int]:
    """How many wait in each line."""
    rows = in_line().order_by().values_list("entity_id", "message__feed_id")
    return {(entity, feed): n for entity, feed, n in rows.annotate(n=Count("pk"))}


def queued(reply: Reply, persona: Persona, now: datetime) -> bool:
    """Queue the generation of a reply that has its permit. A request that cannot be queued ends the reply with the reason."""
    prepared = reply.prepared
    assert prepared is not None
    wish = prepared["priority"]
    request = prepared["request"]
    try:
        with transaction.atomic():
            generation = queue.submit(
                prepared["model"],
                Request(messages=request["messages"], sampling=request["sampling"], max_tokens=request["max_tokens"], stop=request["stop"]),
                caller=f"entity:{persona.slug}"[:100],
                now=now,
                priority=persona.priority if wish is None else wish,
                deadline=reply.deadline,
                pin=persona.preferred_server,
                cache=persona.cache_answers,
            )
    except BotError as error:
        if reply.permit_id:
            spend.refund(reply.permit_id, now)
        moved(reply, ReplyState.WAITING, ReplyState.FAILED, ended_at=now, reason=str(error), prepared=None, permit_at=None)
        say("reply.failed", f"{persona.username} cannot answer: {error}", subject=f"reply:{reply.pk}", level=Level.ERROR, code=error.code)
        struck(persona.id)
        return False
    Reply.objects.filter(pk=reply.pk).update(generation_id=generation, prepared=None, permit_at=None)
    say("reply.queued", f"{persona.username} will answer {reply.message}", subject=f"reply:{reply.pk}", generation=generation)
    return True
