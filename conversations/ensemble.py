"""Several voices, step by step: take what was answered, ask who comes next, end it. Rows only; a step is one transaction.

Nobody waits for an ensemble. Its voices are generations in the cluster's queue, one at a time and each on the account of the entity
that speaks, so that it takes no more of the cluster than that entity's share. Whichever engine delivers next finds what has ended.

An answer that is to be posted is a reply like any other, with its permit, its second try, its approval and its place in the outbox;
the voice waits until that reply has its text. An entity that has answered the message already is heard, but not posted again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q

from cluster import queue
from cluster.logic.lifecycle import ENDED as ANSWERED
from cluster.logic.lifecycle import GenerationState
from conversations import company, voicing
from conversations.address import dry
from conversations.logic import ensemble as plan
from conversations.logic.ensemble import Ask, End, Part
from conversations.logic.lifecycle import EnsembleState, ReplyState, VoiceState
from conversations.models import Ensemble, Reply, Voice
from entities.logic.persona import Persona
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.transitions import moved

log = structlog.get_logger(__name__)

BATCH = 100
WAITING, ASKED, DONE, FAILED, CANCELLED = VoiceState
RUNNING = EnsembleState.RUNNING


def due(now: datetime) -> list[int]:
    """The ensembles in which something is to be done: nobody is being asked, or who was asked has answered, or time is up."""
    unanswered = ~Q(generation__state__in=ANSWERED) & Q(generation__isnull=False)
    unwritten = Q(reply__state=ReplyState.WAITING) | Q(reply__state=ReplyState.HELD, reply__deadline__gt=now)
    asked = Voice.objects.filter(ensemble=OuterRef("pk"), state=ASKED)
    rows = Ensemble.objects.filter(state=RUNNING).filter(Q(deadline__lte=now) | ~Exists(asked.filter(unanswered | unwritten)))
    return list(rows.order_by("id").values_list("pk", flat=True)[:BATCH])


def advance(now: datetime) -> int:
    """Do in every ensemble what is to be done. Returns in how many something was done."""
    found = due(now)
    for ensemble_id in found:
        try:
            while _step(ensemble_id, now):
                pass
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # one ensemble that cannot go on must not keep the others waiting
            log.exception("ensemble.stuck", ensemble=ensemble_id)
            _abort(ensemble_id, EnsembleState.FAILED, f"it could not go on: {type(error).__name__}: {error}", now)
    return len(found)


def cancel(ensemble_id: int, who: str, now: datetime) -> bool:
    """Call an ensemble off, with what is being generated for it; what is posted stays. Returns whether it was still running."""
    return _abort(ensemble_id, EnsembleState.CANCELLED, f"called off by {who}", now)


def _step(ensemble_id: int, now: datetime) -> bool:
    """Take what was answered and ask who comes next. Returns whether there is more to do at once: who was to be asked could not be."""
    with transaction.atomic():
        rows = Ensemble.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("message__feed")
        row = rows.filter(pk=ensemble_id, state=RUNNING).first()
        if row is None:
            return False
        step("ensemble.before")
        # In this order: who is deleted between the two is missing in the second only.
        personas = {persona.id: persona for persona in company.cast().personas}
        voices = list(row.voices.select_related("generation", "reply").order_by("ordinal"))
        for voice in voices:
            if voice.state == ASKED:
                _take(row, voice, voices, personas, now)
        more = False
        if row.deadline <= now:
            given = len(plan.answers(_parts(voices, personas)))
            _close(row, voices, EnsembleState.FAILED, f"its time was up after {given} of {len(voices) - 1} answers", now)
        else:
            following = plan.following(_parts(voices, personas))
            if isinstance(following, Ask):
                voice = next(voice for voice in voices if voice.ordinal == following.ordinal)
                more = not _ask(row, voice, voices, personas, now)
            elif isinstance(following, End):
                _end(row, following, now)
        step("ensemble.inside")
    step("ensemble.after")
    return more


def _parts(voices: Sequence[Voice], personas: Mapping[int, Persona]) -> list[Part]:
    return [
        Part(
            ordinal=voice.ordinal,
            name=personas[voice.entity_id].username,
            state=VoiceState(voice.state),
            synthesis=voice.synthesis,
            text=voice.text,
            reason=voice.reason,
        )
        for voice in voices
    ]


def _names(voices: Sequence[Voice], voice: Voice, personas: Mapping[int, Persona]) -> list[str]:
    """Who else speaks in it."""
    own = personas[voice.entity_id].username
    return sorted({personas[other.entity_id].username for other in voices} - {own})


# --- taking ------------------------------------------------------------------------------------------------------
def _take(row: Ensemble, voice: Voice, voices: Sequence[Voice], personas: Mapping[int, Persona], now: datetime) -> None:
    """What became of the one who was asked, if anything has."""
    persona = personas[voice.entity_id]
    if voice.reply is not None:
        _take_reply(row, voice, voice.reply, persona, now)
        return
    generation = voice.generation
    if generation is None:
        _failed(row, voice, persona, "its generation does not exist any more", now)
    elif generation.state == GenerationState.DONE:
        _hear(row, voice, generation, persona, _names(voices, voice, personas), now)
    elif generation.state in ANSWERED:
        _failed(row, voice, persona, generation.error or f"its generation was {generation.state}", now)


def _hear(row: Ensemble, voice: Voice, generation: Any, persona: Persona, others: Sequence[str], now: datetime) -> None:
    """An answer that is not posted."""
    try:
        draft = voicing.heard(generation.text, persona, others, unfinished=generation.finish_reason == "length")
    except BotError as error:
        _failed(row, voice, persona, str(error), now)
        return
    if draft.text:
        _said(row, voice, persona, draft.text, voice.reason, now)
    else:
        _failed(row, voice, persona, draft.why, now)


def _take_reply(row: Ensemble, voice: Voice, reply: Reply, persona: Persona, now: datetime) -> None:
    """The same of one whose answer is to be posted: its reply has been cleaned, approved, or ended."""
    if reply.state == ReplyState.WAITING or (reply.state == ReplyState.HELD and reply.deadline > now):
        return
    if reply.state == ReplyState.HELD:
        _failed(row, voice, persona, "it was not approved in time", now)
    elif reply.state in (ReplyState.READY, ReplyState.POSTING, ReplyState.POSTED):
        _said(row, voice, persona, reply.text, "", now)
    elif reply.text and dry(reply.message.feed):
        _said(row, voice, persona, reply.text, reply.reason, now)
    else:
        _failed(row, voice, persona, reply.reason or f"its reply was {reply.state}", now)


def _said(row: Ensemble, voice: Voice, persona: Persona, text: str, reason: str, now: datetime) -> None:
    moved(voice, ASKED, DONE, text=text, reason=reason, ended_at=now)
    say("ensemble.answered", f"{persona.username} says: {text}", subject=f"ensemble:{row.pk}", ordinal=voice.ordinal)


def _failed(row: Ensemble, voice: Voice, persona: Persona, why: str, now: datetime) -> None:
    moved(voice, voice.state, FAILED, reason=why, ended_at=now)
    text = f"{persona.username} does not answer: {why}"
    say("ensemble.unanswered", text, subject=f"ensemble:{row.pk}", level=Level.WARNING, ordinal=voice.ordinal)


# --- asking ------------------------------------------------------------------------------------------------------
def _ask(row: Ensemble, voice: Voice, voices: Sequence[Voice], personas: Mapping[int, Persona], now: datetime) -> bool:
    """Queue the next one. Returns whether it was queued, or waits for its limits; otherwise it has failed with its reason."""
    persona = personas[voice.entity_id]
    if not persona.enabled:
        _failed(row, voice, persona, f"switched off: {persona.disabled_reason or 'by hand'}", now)
        return False
    model = row.synthesis_model if voice.synthesis else ""
    if model:
        persona = replace(persona, preferred_server="")  # its own server is for its own model
    until = plan.allowance(now, row.deadline, sum(1 for other in voices if other.state == WAITING))
    try:
        spoken = voicing.compose(row, persona, plan.answers(_parts(voices, personas)), model or persona.model, synthesis=voice.synthesis)
        reply = voicing.begin(row, row.message, persona, spoken, until, now) if row.post and row.message else None
        generation = voicing.submit(row, persona, spoken, until, now) if reply is None else None
    except BotError as error:
        _failed(row, voice, persona, str(error), now)
        return False
    if reply is not None and reply.state != ReplyState.WAITING:
        _failed(row, voice, persona, reply.reason, now)
        return False
    heard_only = row.post and reply is None
    reason = "not posted: it has answered this message already" if heard_only else ""
    moved(voice, WAITING, ASKED, generation_id=generation, reply=reply, reason=reason, asked_at=now)
    return True


# --- the end -----------------------------------------------------------------------------------------------------
def _end(row: Ensemble, end: End, now: datetime) -> None:
    moved(row, RUNNING, end.state, text=end.text, reason=end.reason, ended_at=now)
    seconds = round((now - row.created_at).total_seconds(), 2)
    if end.state is EnsembleState.DONE:
        say("ensemble.done", f"The synthesis after {seconds:.1f} s: {end.text}", subject=f"ensemble:{row.pk}", seconds=seconds)
    else:
        say(f"ensemble.{end.state.value}", f"No synthesis: {end.reason}", subject=f"ensemble:{row.pk}", level=Level.WARNING)


def _close(row: Ensemble, voices: Sequence[Voice], state: EnsembleState, why: str, now: datetime) -> None:
    """End it before its time, with everything that is under way for it."""
    for voice in voices:
        if voice.state == ASKED:
            if voice.reply is not None:
                voicing.withdraw(voice.reply, why, now)
            if generation_id := voice.reply.generation_id if voice.reply else voice.generation_id:
                queue.cancel(generation_id, now, why)
        if voice.state in (WAITING, ASKED):
            moved(voice, voice.state, CANCELLED, reason=why, ended_at=now)
    _end(row, End(state=state, reason=why), now)


def _abort(ensemble_id: int, state: EnsembleState, why: str, now: datetime) -> bool:
    with transaction.atomic():
        row = Ensemble.objects.select_for_update(no_key=True).filter(pk=ensemble_id, state=RUNNING).first()
        if row is None:
            return False
        _close(row, list(row.voices.select_related("reply").order_by("ordinal")), state, why, now)
    return True
