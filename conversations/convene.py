"""Ask several entities one question: check the wish, and write down whom it is asked, in which order. The engine does the rest."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from django.db import IntegrityError, transaction

from cluster import queue
from conversations.logic import ensemble as plan
from conversations.logic.ensemble import Refused
from conversations.models import Ensemble, Message, Voice
from entities import read
from entities.logic.persona import Persona
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake

LONGEST: Final = 20_000
"""Characters of a question."""

LATEST: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One question to several.

    `who`: ids of entities in the order of asking, "all" enabled ones by id, or so many of these, drawn by `key`. `synthesizer`: the id
    of the entity that writes the synthesis; with "all" and a number it is not among those asked. `model`: of the synthesis, empty for
    its own. `message`: the number of the message that is answered; with `post`, every answer is posted there. `seconds`: for the
    whole, None for the usual time. Empty prompts are the usual ones. Asked twice with one `key` is asked once.
    """

    question: str
    who: tuple[str, ...] | Literal["all"] | int
    synthesizer: str
    model: str = ""
    message: int | None = None
    post: bool = False
    priority: int = 50
    seconds: float | None = None
    voice_prompt: str = ""
    synthesis_prompt: str = ""
    asked_by: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    question: str
    voices: tuple[Persona, ...]
    synthesizer: Persona
    message: Message | None
    key: str


def check(wish: Wish) -> tuple[str, ...]:
    """Whom it would ask, by id, in their order. Raises BotError, and writes nothing."""
    return tuple(persona.slug for persona in _checked(wish).voices)


def convene(wish: Wish, now: datetime) -> int:
    """Begin an ensemble; returns its id, or that of the one that was begun with this key. Raises BotError."""
    if wish.key and (known := _known(wish)) is not None:
        return known
    checked = _checked(wish)
    steps = len(checked.voices) + 1
    lasts = plan.lasting(steps) if wish.seconds is None else timedelta(seconds=wish.seconds)
    try:
        with transaction.atomic():
            row = Ensemble.objects.create(
                question=checked.question,
                message=checked.message,
                key=checked.key,
                synthesizer_id=checked.synthesizer.id,
                synthesis_model=wish.model.strip(),
                voice_prompt=wish.voice_prompt,
                synthesis_prompt=wish.synthesis_prompt,
                post=wish.post,
                asked_by=wish.asked_by[:200],
                priority=wish.priority,
                created_at=now,
                deadline=now + lasts,
            )
            voices = [Voice(ensemble=row, ordinal=n, entity_id=persona.id) for n, persona in enumerate(checked.voices)]
            voices.append(Voice(ensemble=row, ordinal=len(voices), entity_id=checked.synthesizer.id, synthesis=True))
            Voice.objects.bulk_create(voices)
            names = ", ".join(persona.username for persona in checked.voices)
            say("ensemble.asked", f"{wish.asked_by or 'Somebody'} asks {names}: {checked.question}", subject=f"ensemble:{row.pk}")
            wake(Channel.DELIVER)
    except IntegrityError:
        if (known := _known(wish)) is None:
            raise
        return known
    return row.pk


def _known(wish: Wish) -> int | None:
    """The ensemble of this key. Raises Refused if it was asked something else."""
    row = Ensemble.objects.filter(key=wish.key).first()
    if row is None:
        return None
    if wish.question.strip() and row.question != wish.question.strip():
        raise Refused(f"The key {wish.key!r} is that of ensemble {row.pk}, which was asked something else. Choose another key.")
    return row.pk


def _checked(wish: Wish) -> _Checked:
    message = _message(wish)
    question = wish.question.strip() or (message.text.strip() if message else "")
    if not question:
        raise Refused("There is no question. Write one, or name a message that has a text.")
    for name, text, most in (
        ("question", question, LONGEST),
        ("prompt of a voice", wish.voice_prompt, LONGEST),
        ("prompt of the synthesis", wish.synthesis_prompt, LONGEST),
        ("model", wish.model, 300),
        ("key", wish.key, 200),
    ):
        if len(text) > most or "\x00" in text:
            raise Refused(f"A {name} has at most {most} characters, and none of them is NUL.")
    if not 0 <= wish.priority <= 99:
        raise Refused(f"The priority is {wish.priority}; it goes from 0, first, to 99, last.")
    if wish.seconds is not None and not 0 < wish.seconds <= LATEST.total_seconds():
        raise Refused(f"The whole may take more than 0 s and at most {LATEST.total_seconds():.0f} s, not {wish.seconds:g} s.")
    if wish.voice_prompt:
        plan.checked(wish.voice_prompt, plan.VOICE_NAMES, "originalQuestion")
    if wish.synthesis_prompt:
        plan.checked(wish.synthesis_prompt, plan.SYNTHESIS_NAMES, "entityResponses")
    if wish.model.strip():
        queue.known(wish.model)
    key = wish.key or secrets.token_hex(8)
    everybody = {persona.slug: persona for persona in read.personas()}
    synthesizer = _enabled(wish.synthesizer, everybody)
    voices = tuple(_enabled(slug, everybody) for slug in _slugs(wish, everybody, key))
    if wish.post and synthesizer in voices:
        raise Refused(f"{synthesizer.slug} cannot post both an answer and the synthesis to one message. Choose another synthesizer.")
    return _Checked(question=question, voices=voices, synthesizer=synthesizer, message=message, key=key)


def _message(wish: Wish) -> Message | None:
    if wish.message is None:
        if wish.post:
            raise Refused("There is no message to post answers to. Name one.")
        return None
    message = Message.objects.filter(pk=wish.message).first()
    if message is None:
        raise Refused(f"There is no message {wish.message}. The list of messages in the admin shows their numbers.")
    if message.own and wish.post:
        raise Refused(f"Message {wish.message} is a post of our own, and these are never answered.")
    return message


def _slugs(wish: Wish, everybody: dict[str, Persona], key: str) -> tuple[str, ...]:
    """Whom it asks, in their order."""
    if isinstance(wish.who, tuple):
        if not wish.who:
            raise Refused("Nobody is asked. Name entities by their ids, a number of them, or all.")
        if doubled := [slug for slug in dict.fromkeys(wish.who) if wish.who.count(slug) > 1]:
            raise Refused(f"{', '.join(doubled)} cannot be asked twice.")
        chosen = wish.who
    else:
        there = [slug for slug, persona in sorted(everybody.items()) if persona.enabled and slug != wish.synthesizer]
        chosen = plan.drawn(there, wish.who, key) if isinstance(wish.who, int) else tuple(there)
        if not chosen:
            raise Refused("No entity is enabled besides the one that writes the synthesis.")
    if len(chosen) > plan.MOST:
        raise Refused(f"{len(chosen)} entities are more than the {plan.MOST} that one question may be asked. Name fewer, or a number.")
    return chosen


def _enabled(slug: str, everybody: dict[str, Persona]) -> Persona:
    persona = everybody.get(slug)
    if persona is None:
        known = ", ".join(sorted(everybody)[:30]) or "none"
        raise Refused(f"There is no entity {slug!r}. Known: {known}{' …' if len(everybody) > 30 else ''}.")
    if not persona.enabled:
        raise Refused(f"{slug} is switched off: {persona.disabled_reason or 'by hand'}. Switch it on, or leave it out.")
    return persona
