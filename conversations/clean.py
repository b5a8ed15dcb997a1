"""Step 10: from a finished generation to a text that is ready to post, to a second try, or to the reason why there is none.

An answer of which nothing is left (the model said nothing, only thought, or repeated itself) is asked for once more, differently: warmer,
with a seed, not from the cache, with more tokens if it ran out of them. Its permit stays reserved, its deadline stays what it was. What
was written first is kept in `drafts`; there `next` names the generation that followed, and a reply whose generation is named so has had
its second try. So a requeued reply, with a generation of its own, has one again. `[SKIP]` is a decision and no failure.

What is kept of the texts is worked out before a row is locked, for plugins take part in it; then each reply has a transaction of its own.
Whoever dies in between has changed nothing, and of many who clean the same reply one moves it.
"""

from datetime import datetime
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from cluster import queue
from cluster.logic.lifecycle import ENDED, GenerationState
from conversations import company
from conversations.feed.values import TEXT_MAXIMUM
from conversations.logic.again import again
from conversations.logic.dice import throw
from conversations.logic.fence import sound
from conversations.logic.lifecycle import Mode, ReplyState
from conversations.logic.reply import Draft
from conversations.logic.visible import visible
from conversations.models import ConversationPolicy, Reply
from conversations.strikes import struck
from conversations.tidying import tidied
from entities import spend
from entities.logic.persona import Persona
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

log = structlog.get_logger(__name__)

BATCH = 50
RECENT = 10
"""So many own posts are looked at for repeats."""

KEPT: Final = 2000
"""Characters kept of a draft."""

OWN: Final = (ReplyState.READY, ReplyState.HELD, ReplyState.POSTING, ReplyState.POSTED)
"""What an entity has said, or is about to say."""


def clean(now: datetime) -> int:
    """Take finished generations into their replies. Returns how many."""
    rows = Reply.objects.filter(state=ReplyState.WAITING, generation__state__in=ENDED)
    chosen = list(rows.select_related("generation__model", "generation__pin", "message__feed").order_by("id")[:BATCH])
    if not chosen:
        return 0
    step("clean.before")
    personas = {p.id: p for p in company.cast().personas}
    policy = ConversationPolicy.current()
    for reply in chosen:
        if reply.entity_id in personas:  # otherwise it has just been deleted, and its replies with it
            _taken(reply, personas[reply.entity_id], policy, now)
    step("clean.after")
    return len(chosen)


def _taken(reply: Reply, persona: Persona, policy: ConversationPolicy, now: datetime) -> None:
    try:
        _take(reply, persona, policy, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # one answer that cannot be cleaned must not keep the others waiting
        log.exception("reply.uncleanable", reply=reply.pk)
        with transaction.atomic():
            if _ours(reply):
                why = sound(f"it could not be cleaned: {type(error).__name__}: {error}")
                _end(Reply.objects.get(pk=reply.pk), ReplyState.FAILED, why, persona, now)
                wake(Channel.DELIVER)


def _ours(reply: Reply) -> bool:
    """Whether it still waits for this generation, and nobody else is at it; then it is locked."""
    rows = Reply.objects.select_for_update(no_key=True, skip_locked=True).order_by()
    return bool(rows.filter(pk=reply.pk, state=ReplyState.WAITING, generation=reply.generation).values_list("pk"))


def _take(reply: Reply, persona: Persona, policy: ConversationPolicy, now: datetime) -> None:
    generation = reply.generation
    assert generation is not None
    failure = "" if generation.state == GenerationState.DONE else generation.error or f"its generation was {generation.state}"
    draft = None
    if not failure:
        try:
            draft = _draft(reply, persona, policy)
        except BotError as error:
            failure = str(error)
    with transaction.atomic():
        if not _ours(reply):
            return
        if draft is None:
            late = generation.state == GenerationState.EXPIRED
            _end(reply, ReplyState.DROPPED if late else ReplyState.FAILED, failure, persona, now)
        elif draft.text:
            _keep(reply, draft, persona, now)
        elif draft.again and policy.try_again and reply.deadline > now and _first(reply):
            _again(reply, draft, persona, now)
        else:
            why = draft.why if _first(reply) else f"{draft.why} (second try; the first: {reply.drafts[-1]['why']})"
            _end(reply, ReplyState.DROPPED, why, persona, now, verdict={**reply.verdict, "cleaned": draft.steps})
        wake(Channel.DELIVER)


def _draft(reply: Reply, persona: Persona, policy: ConversationPolicy) -> Draft:
    """What is left of the answer. Raises BotError if a plugin fails."""
    generation = reply.generation
    assert generation is not None
    shown = (str(line).partition(":") for line in reply.verdict.get("shown", []))
    recent: list[str] = []
    if reply.mode == Mode.AMBIENT:  # who was asked answers, even with the same words
        own = Reply.objects.filter(entity_id=reply.entity_id, state__in=OWN).exclude(pk=reply.pk).order_by("-id")
        recent = list(own.values_list("text", flat=True)[:RECENT])
    return tidied(
        persona,
        generation.text,
        username=reply.username,
        others=(reply.message.username.strip(), *(name.strip() for name, colon, _ in shown if colon)),
        limit=min(TEXT_MAXIMUM, reply.message.feed.max_text),
        recent=recent,
        unfinished=generation.finish_reason == "length",
        policy=policy,
    )


def _keep(reply: Reply, draft: Draft, persona: Persona, now: datetime) -> None:
    """There is a text: it is posted, or held, or, in a dry run, only kept."""
    verdict = {**reply.verdict, "cleaned": draft.steps}
    if settings.DRY_RUN or reply.message.feed.dry_run:
        if reply.permit_id:
            spend.spend(reply.permit_id, now)
        moved(reply, ReplyState.WAITING, ReplyState.DROPPED, text=draft.text, ended_at=now, reason="dry run: not posted", verdict=verdict)
        say("reply.dry", f"{reply.username} would say: {draft.text}", subject=f"reply:{reply.pk}")
        return
    state = ReplyState.HELD if persona.hold else ReplyState.READY
    moved(reply, ReplyState.WAITING, state, text=draft.text, ready_at=now, verdict=verdict)
    say(f"reply.{state.value}", f"{reply.username} says: {draft.text}", subject=f"reply:{reply.pk}", characters=len(draft.text))


def _first(reply: Reply) -> bool:
    """Whether its generation is no second try."""
    return not reply.drafts or reply.drafts[-1].get("next") != reply.generation_id


def _again(reply: Reply, draft: Draft, persona: Persona, now: datetime) -> None:
    """Ask once more, differently. What cannot be queued fails with the reason."""
    old = reply.generation
    assert old is not None
    room = max(1, queue.context_length(old.model.key, old.pin.name if old.pin else "") - old.prompt_tokens) if old.prompt_tokens else None
    request = again(old.request, seed=int(throw(str(reply.pk), str(old.pk)) * 2**31), unfinished=old.finish_reason == "length", room=room)
    try:
        with transaction.atomic():
            new = queue.submit(
                old.model.key,
                request,
                caller=old.caller,
                now=now,
                priority=old.priority,
                deadline=reply.deadline,
                pin=old.pin.name if old.pin else "",
                cache=False,
            )
    except BotError as error:
        _end(reply, ReplyState.FAILED, f"{draft.why}, and it could not be asked again: {error}", persona, now)
        return
    step("again.inside")
    kept = {"generation": old.pk, "text": visible(draft.raw)[:KEPT], "why": draft.why, "cleaned": draft.steps, "next": new}
    Reply.objects.filter(pk=reply.pk).update(generation_id=new, drafts=[*reply.drafts, kept])
    say("reply.again", f"{reply.username} is asked once more: {draft.why}", subject=f"reply:{reply.pk}", generation=new)


def _end(reply: Reply, state: ReplyState, why: str, persona: Persona, now: datetime, **fields: Any) -> None:
    if reply.permit_id:
        spend.refund(reply.permit_id, now)
    moved(reply, ReplyState.WAITING, state, ended_at=now, reason=why, **fields)
    failed = state is ReplyState.FAILED
    say(
        f"reply.{state.value}",
        f"{persona.username} does not answer: {why}",
        subject=f"reply:{reply.pk}",
        level=Level.ERROR if failed else Level.WARNING,
    )
    if failed:
        struck(reply.entity_id)
