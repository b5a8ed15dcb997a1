"""Step 4: which entities answer and why; one reply per yes, its generation queued, its permit reserved, all in one transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from cluster import queue
from conversations.compose import compose
from conversations.logic import turnout, turnstile
from conversations.logic.ambient import Means
from conversations.logic.cast import Cast
from conversations.logic.dice import throw, thrower
from conversations.logic.lifecycle import Debt, Mode, ReplyState
from conversations.logic.overrides import overrides
from conversations.logic.scene import Scene
from conversations.logic.verdict import Verdict, Yes
from conversations.logic.verdict import decide as judge
from conversations.models import Message, Reply
from conversations.queued import Grant, grant, queued
from conversations.strikes import struck
from conversations.weighing import weigh
from entities import choose, spend
from entities.logic.persona import Persona
from entities.logic.quota import Quota
from swwbot_site.lib import clock
from swwbot_site.lib.bulk import update_each
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.events import Level, say

BATCH: Final = 200

PATIENCE: Final = timedelta(minutes=1)
"""A message whose decision fails is tried again for so long."""

UNCLAIMED: Final = timedelta(hours=1)
"""A message that nobody let us claim for so long is given up."""

KNOWN: Final = 1000
"""So many different complaints about settings are remembered, to be told once per process."""

_told: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A message that is being decided."""

    message: Message
    scene: Scene
    cast: Cast
    now: datetime
    told: dict[str, Any]
    """Its verdict, as it will be kept."""


def decide(message: Message, scene: Scene, cast: Cast, now: datetime) -> int:
    """Judge one message, whose row the caller has locked, undecided, in the running transaction.

    Returns how many were to answer, whether or not their limits let them. If none was, and nobody was called, nothing but the message's
    row was written or locked.
    """
    dice = thrower(message.feed.url, message.remote_id)
    verdict = judge(scene, cast.audience, Means(dice=dice, weigh=partial(weigh, scene, cast), strategies=choose.table()))
    _complain(message, verdict)
    case = Case(message=message, scene=scene, cast=cast, now=now, told=verdict.document())
    if verdict.yes:
        _answers(case, verdict)
    called = {call.slug for call in (*scene.signals.mentions, *scene.signals.triggers)}
    if models := [persona.model for slug in called if (persona := cast.by_slug.get(slug)) and persona.enabled]:
        queue.expect(models, min(now, message.born_at))
    update_each(Message, {message.pk: {"decided_at": now, "verdict": case.told}})
    return len(verdict.yes)


def _complain(message: Message, verdict: Verdict) -> None:
    """Tell what a person should mend: about a message each time, about settings once."""
    if verdict.fault and (verdict.fault in _told or len(_told) > KNOWN):
        return
    if verdict.fault:
        _told.add(verdict.fault)
        say("feed.misconfigured", f"{message.feed.name}: {verdict.fault}", subject=f"feed:{message.feed.name}", level=Level.ERROR)
    elif verdict.error:
        say("message.misdirected", verdict.error, subject=f"message:{message.pk}", level=Level.ERROR)


def _answers(case: Case, verdict: Verdict) -> None:
    """A reply for each yes; in the place of one that is refused by its limits the next of the bench answers."""
    if len(verdict.yes) + len(verdict.bench) > 1:
        spend.lock((yes.persona.id for yes in (*verdict.yes, *verdict.bench)), case.message.feed_id)
    turnout.settle(verdict, case.told, partial(_reply, case))


def _reply(case: Case, yes: Yes) -> tuple[str, str]:
    """Make the reply and queue its generation; why not and the kind of that reason, or two empty texts."""
    message, persona, now = case.message, yes.persona, case.now
    try:
        wishes = overrides(case.scene.message, persona, partial(throw, message.remote_id, persona.slug))
    except ValueError as error:
        say("message.misdirected", f"Message {message.remote_id}: {error}.", subject=f"message:{message.pk}", level=Level.ERROR)
        return str(error), turnout.MISDIRECTED
    deadline = turnstile.deadline(message.born_at, persona, now)
    granted = grant(persona, yes.mode, message.feed_id, deadline, now)
    if granted.refused:
        if yes.mode is Mode.DIRECTED:
            text = f"{persona.username} does not answer message {message.remote_id}: {granted.refused}"
            say("message.refused", text, subject=f"message:{message.pk}", level=Level.WARNING)
        return granted.refused, turnout.LIMITED
    if Reply.objects.filter(message=message, entity_id=persona.id).exists():  # asked under the lock of its budget, as an ensemble does
        if granted.permit_id is not None:
            spend.refund(granted.permit_id, now)
        return "it answers this message already, as one of several voices", turnout.ANSWERED
    reply = Reply(
        message=message,
        entity_id=persona.id,
        mode=yes.mode,
        verdict={**yes.document(), "left": limits(granted.quota)},
        decided_at=now,
        deadline=deadline,
        permit_id=granted.permit_id,
        permit_at=granted.permit_at,
        username=wishes.username,
        color=wishes.color,
    )
    try:
        draft = compose(
            persona, case.scene.message, case.scene.window, username=wishes.username, model=wishes.model, authors=case.cast.authors
        )
    except BotError as error:
        _fail(reply, persona, error, now)
        return "", ""
    reply.verdict |= draft.told
    reply.prepared = {"model": draft.model, "priority": wishes.priority, "request": draft.request().document()}
    reply.save(force_insert=True)
    _send(reply, persona, granted, now)
    return "", ""


def _send(reply: Reply, persona: Persona, granted: Grant, now: datetime) -> None:
    if granted.permit_id is None:
        say("reply.waits", f"{persona.username} waits with its answer: {granted.quota.why}", subject=f"reply:{reply.pk}")
    else:
        queued(reply, persona, now)


def _fail(reply: Reply, persona: Persona, error: BotError, now: datetime) -> None:
    """No request can be put together: the answer ends before it begins, with the reason."""
    if reply.permit_id:
        spend.refund(reply.permit_id, now)
    reply.state, reply.permit_at, reply.ended_at, reply.reason = ReplyState.FAILED, None, now, str(error)
    reply.save(force_insert=True)
    say("reply.failed", f"{persona.username} cannot answer: {error}", subject=f"reply:{reply.pk}", level=Level.ERROR, code=error.code)
    struck(persona.id)


def limits(quota: Quota) -> list[dict[str, Any]]:
    """What the limits left at the decision, for the verdict."""
    return [{"rule": str(left.rule), "left": left.remaining} for left in quota.left]


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
