"""What a step of an ensemble is asked, how it is queued, and what is heard of its answer. Shared by nobody but `ensemble`, whose rows it knows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.db import transaction

from cluster import queue
from cluster.logic.request import Request
from conversations.feed.identity import color
from conversations.logic import ensemble as plan
from conversations.logic import fence, prompt, tokens
from conversations.logic.context import Spoken as Line
from conversations.logic.ensemble import Said
from conversations.logic.lifecycle import Mode, ReplyState
from conversations.logic.reply import Draft
from conversations.logic.sane import sane
from conversations.models import Ensemble, Message, Reply
from conversations.queued import grant, queued
from conversations.tidying import tidied
from entities import spend
from entities.logic.persona import Persona
from swwbot_site.lib.events import say
from swwbot_site.lib.hooks import every
from swwbot_site.lib.transitions import moved

LONGEST: Final = 8_000
"""Of an answer that is not posted, UTF-16 units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """The request for one step. `shown`: the lines it sees."""

    model: str
    request: Request
    shown: tuple[str, ...]


def compose(row: Ensemble, persona: Persona, said: Sequence[Said], model: str, *, synthesis: bool) -> Spoken:
    """The request for one step: the persona's prompt, then what it is asked, as one turn of the user. Raises BotError.

    A voice sees the latest of the earlier answers that fit; the synthesis sees all, cut evenly if they do not. Whatever strangers and
    models wrote stays on a line of its own and says nothing in another's name.
    """
    question = fence.said(row.question) if row.message_id else fence.sound(row.question)
    heard = [Said(name=fence.named(one.name), text=fence.said(one.text)) for one in said]
    room = queue.context_length(model, persona.preferred_server)
    wanted = prompt.ANSWER if persona.max_tokens is None else persona.max_tokens
    most = room - min(wanted, room // (4 if persona.max_tokens is None else 2))

    def asked(these: Sequence[Said]) -> str:
        if synthesis:
            return plan.synthesis(row.synthesis_prompt, question, these)
        return plan.voice(row.voice_prompt, question, these)

    def fits(these: Sequence[Said]) -> bool:
        return tokens.messages([{"content": persona.system_prompt}, {"content": asked(these)}]) <= most

    seen = (plan.evenly if synthesis else plan.newest)(heard, fits)
    text = asked(seen)
    # Whatever format its chat answers have, this is one turn. Its own warm-up belongs to the format of turns.
    warm = persona.warmup if persona.prompt_format == "turns" else ()
    speaker = replace(persona, prompt_format="turns", keep_names=False, user_prompt="", warmup=warm)
    draft = prompt.draft(speaker, [Line(name="", text=text, line=text)], username=persona.username, model=model, room=room)
    every("before_prompt", draft=draft)
    sane(draft)
    prompt.finish(draft)
    return Spoken(model=model, request=draft.request(), shown=tuple(one.line for one in seen))


def heard(text: str, persona: Persona, others: Sequence[str], *, unfinished: bool) -> Draft:
    """What is left of an answer that is not posted, cleaned like one that is; `others` are those who speak beside it. Raises BotError."""
    return tidied(persona, text, username=persona.username, others=others, limit=LONGEST, unfinished=unfinished)


def submit(row: Ensemble, persona: Persona, spoken: Spoken, until: datetime, now: datetime) -> int:
    """Queue an answer that is not posted; returns its generation's id. Raises BotError, and then leaves the transaction as it was."""
    with transaction.atomic():
        return queue.submit(
            spoken.model,
            spoken.request,
            caller=f"entity:{persona.slug}"[:100],
            now=now,
            priority=row.priority,
            deadline=until,
            pin=persona.preferred_server,
            cache=persona.cache_answers,
        )


def begin(row: Ensemble, message: Message, persona: Persona, spoken: Spoken, until: datetime, now: datetime) -> Reply | None:
    """Begin an answer that is to be posted: with a permit it is queued, without one it waits for it, or has ended with the reason.

    None if the entity answers this message already.
    """
    reply = Reply(
        message=message,
        entity_id=persona.id,
        mode=Mode.VOICE,
        verdict={"mode": Mode.VOICE.value, "rules": [f"ensemble {row.pk}"], "shown": list(spoken.shown)},
        decided_at=now,
        deadline=until,
        username=persona.username,
        color=color(persona.color),
        prepared={"model": spoken.model, "priority": row.priority, "request": spoken.request.document()},
    )
    # First its budget, like whoever decides about the message: of the two, the second sees what the first has begun.
    if not spend.lock([persona.id], message.feed_id):
        raise plan.Refused(f"{persona.slug} does not exist any more.")
    if Reply.objects.filter(message=message, entity_id=persona.id).exists():
        return None
    reply.save(force_insert=True)
    granted = grant(persona, Mode.VOICE, message.feed_id, until, now)
    if granted.permit_id is not None:
        reply.permit_id = granted.permit_id
        Reply.objects.filter(pk=reply.pk).update(permit_id=granted.permit_id)
        queued(reply, persona, now)
    elif granted.refused:
        moved(reply, ReplyState.WAITING, ReplyState.DROPPED, ended_at=now, reason=granted.refused, prepared=None)
        say("reply.dropped", f"{persona.username} does not answer: {granted.refused}", subject=f"reply:{reply.pk}")
    else:
        Reply.objects.filter(pk=reply.pk).update(permit_at=granted.permit_at)
        say("reply.waits", f"{persona.username} waits with its answer: {granted.quota.why}", subject=f"reply:{reply.pk}")
    return reply


def withdraw(reply: Reply, why: str, now: datetime) -> None:
    """Give up an answer that has no text yet, or that waits for its approval."""
    if reply.state not in (ReplyState.WAITING, ReplyState.HELD):
        return
    if moved(reply, reply.state, ReplyState.DROPPED, ended_at=now, reason=why, prepared=None, permit_at=None):
        reply.refresh_from_db(fields=["generation", "permit"])  # it may have been admitted, or tried again, since we read it
        if reply.permit_id:
            spend.refund(reply.permit_id, now)
