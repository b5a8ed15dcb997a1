"""Step 4: which entities answer and why; one reply per yes, its generation queued, its permit reserved, all in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from cluster import queue
from cluster.logic.request import Request
from conversations.feed.identity import ais, color, drawn, name
from conversations.logic import context, prompt
from conversations.logic.context import Slugs
from conversations.logic.detection import mentions
from conversations.logic.dice import throw
from conversations.logic.lifecycle import Debt, Mode, ReplyState
from conversations.logic.message import Line
from conversations.logic.verdict import Scene, Yes
from conversations.logic.verdict import decide as judge
from conversations.models import Message, Reply
from entities import spend
from entities.logic.persona import Persona
from entities.logic.quota import Quota
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

BATCH = 200

PATIENCE = timedelta(minutes=1)
"""A message whose decision fails is tried again for so long."""

UNCLAIMED = timedelta(hours=1)
"""A message that nobody let us claim for so long is given up."""

LONGEST_COLOR = 40

AT_LEAST = timedelta(seconds=60)
"""However old a message is when it is decided, its answer gets so much time."""


def decide(message: Message, scene: Scene, personas: Sequence[Persona], now: datetime) -> int:
    """Judge one message, whose row the caller has locked in the running transaction. Returns how many replies came of it."""
    verdict = judge(scene.message, personas, scene.room, lambda slug: throw(message.feed.url, message.remote_id, slug))
    told = verdict.document()
    if verdict.error:
        say("message.misdirected", verdict.error, subject=f"message:{message.pk}", level=Level.ERROR)
    count = 0
    slugs = context.authors(personas)
    if len(verdict.yes) > 1:
        spend.lock(yes.persona.id for yes in verdict.yes)
    for yes in verdict.yes:
        count += _reply(message, scene, yes, slugs, told, now)
    queue.expect(called(message.text, personas), min(now, message.born_at))
    if Message.objects.filter(pk=message.pk, decided_at__isnull=True).update(decided_at=now, verdict=told) != 1:
        raise AssertionError("the row is locked and was not decided")
    return count


def called(text: str, personas: Sequence[Persona]) -> list[str]:
    """The models of those whom a text calls by name, whoever wrote it and whether or not they answer."""
    return [persona.model for persona in personas if persona.enabled and mentions(text, (persona.username, *persona.aliases))]


def _reply(message: Message, scene: Scene, yes: Yes, slugs: Slugs, told: dict[str, Any], now: datetime) -> int:
    persona = yes.persona
    try:
        username, shade, params = _overrides(scene.message, persona)
    except ValueError as error:
        say("message.misdirected", f"Message {message.remote_id}: {error}.", subject=f"message:{message.pk}", level=Level.ERROR)
        told["no"][persona.slug] = str(error)
        told["yes"].remove(persona.slug)
        return 0
    reservation = spend.reserve(persona.id, now)
    if reservation.permit_id is None and (yes.mode is Mode.AMBIENT or persona.when_limited == "drop"):
        told["no"][persona.slug] = reservation.quota.why
        told["yes"].remove(persona.slug)
        return 0
    seen = [one for one in scene.window if context.sees(persona, one, slugs)]
    model = params.get("model") or persona.model
    room = context.room(queue.context_length(model), persona)
    shown = context.fitting(context.lines(persona, scene.message, seen), room)
    request = Request(
        messages=prompt.build(persona, shown, username), sampling=persona.sampling, max_tokens=persona.max_tokens, stop=persona.stop
    )
    reply = Reply(
        message=message,
        entity_id=persona.id,
        mode=yes.mode,
        verdict={**yes.document(), "left": limits(reservation.quota), "shown": list(shown)},
        decided_at=now,
        deadline=max(message.born_at + timedelta(seconds=persona.max_age_s), now + AT_LEAST),
        permit_id=reservation.permit_id,
        permit_at=reservation.quota.free_at,
        username=username,
        color=shade,
        prepared={"model": model, "priority": params.get("priority"), "request": request.document()},
    )
    reply.save(force_insert=True)
    if reservation.permit_id is None:
        say("reply.waits", f"{persona.username} waits with its answer: {reservation.quota.why}", subject=f"reply:{reply.pk}")
    else:
        queued(reply, persona, now)
    return 1


def _overrides(message: Line, persona: Persona) -> tuple[str, str, dict[str, Any]]:
    """The identity and the parameters that the message asks for. Raises ValueError for an identity that is none."""
    params = dict(message.params or {})
    if not params.get("ais"):
        return persona.username, color(persona.color), params
    identity = ais(str(params["ais"]))
    shade = identity.color or drawn(lambda: throw(message.remote_id, persona.slug, "color"))
    if len(shade) > LONGEST_COLOR:
        raise ValueError(f"ais asks for a colour of {len(shade)} characters; no backend knows one of more than {LONGEST_COLOR}")
    return name(identity.username), shade, params


def limits(quota: Quota) -> list[dict[str, Any]]:
    """What the limits left at the decision, for the verdict."""
    return [{"rule": str(left.rule), "left": left.remaining} for left in quota.left]


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
        moved(reply, ReplyState.WAITING, ReplyState.FAILED, ended_at=now, reason=str(error), prepared=None)
        say("reply.failed", f"{persona.username} cannot answer: {error}", subject=f"reply:{reply.pk}", level=Level.ERROR, code=error.code)
        return False
    Reply.objects.filter(pk=reply.pk).update(generation_id=generation, prepared=None, permit_at=None)
    say("reply.queued", f"{persona.username} will answer {reply.message}", subject=f"reply:{reply.pk}", generation=generation)
    return True


def admit(reply: Reply, persona: Persona, now: datetime) -> bool:
    """A waiting reply, locked by the caller, asks its limits again. Too late, it is dropped with the reason."""
    if reply.deadline <= now:
        moved(
            reply, ReplyState.WAITING, ReplyState.DROPPED, ended_at=now, prepared=None, reason="its limits refused it until it was too late"
        )
        say(
            "reply.dropped",
            f"{persona.username} answers no more: its limits refused it too long",
            subject=f"reply:{reply.pk}",
            level=Level.WARNING,
        )
        wake(Channel.DELIVER)
        return False
    reservation = spend.reserve(persona.id, now)
    if reservation.permit_id is None:
        Reply.objects.filter(pk=reply.pk).update(permit_at=reservation.quota.free_at)
        return False
    reply.permit_id = reservation.permit_id
    Reply.objects.filter(pk=reply.pk).update(permit_id=reservation.permit_id)
    return queued(reply, persona, now)


def shelve(message_id: int, error: Exception, now: datetime) -> None:
    """Give up a message whose decision fails for a minute."""
    with transaction.atomic():
        rows = Message.objects.filter(pk=message_id, decided_at__isnull=True, received_at__lt=now - PATIENCE)
        if rows.update(decided_at=now, verdict={"why": f"it could not be decided: {type(error).__name__}: {error}"}):
            text = f"Message {message_id} could not be decided: {type(error).__name__}: {error}"
            say("message.undecidable", text, subject=f"message:{message_id}", level=Level.ERROR)


def undecided() -> list[int]:
    """New messages, oldest first, without those that wait in the feed's queue until we have claimed them (for an hour at most)."""
    rows = Message.objects.filter(decided_at__isnull=True, feed__enabled=True)
    if not settings.DRY_RUN:
        waiting = rows.filter(received_at__gt=clock.now() - UNCLAIMED, feed__dry_run=False, kind="human", state=Debt.NONE)
        rows = rows.exclude(pk__in=waiting.filter(bot_params__status="pending", bot_params__entity__gt="").values("pk"))
    return list(rows.order_by("timestamp", "id").values_list("pk", flat=True)[:BATCH])
