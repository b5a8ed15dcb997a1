"""Step 10: from a finished generation to a text that is ready to post, or to the reason why there is none."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from cluster.logic.lifecycle import ENDED, GenerationState
from conversations.feed.values import TEXT_MAXIMUM
from conversations.logic.lifecycle import Mode, ReplyState
from conversations.logic.reply import Cleaned
from conversations.logic.reply import clean as tidy
from conversations.models import Reply
from entities import read, spend
from entities.logic.persona import Persona
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

BATCH = 50
RECENT = 10
"""So many own posts are looked at for repeats."""


def clean(now: datetime) -> int:
    """Take finished generations into their replies. Returns how many."""
    count = 0
    with transaction.atomic():
        rows = Reply.objects.filter(state=ReplyState.WAITING, generation__state__in=ENDED)
        chosen = list(
            rows.select_for_update(no_key=True, of=("self",), skip_locked=True)
            .select_related("generation", "message__feed")
            .order_by("id")[:BATCH]
        )
        if not chosen:
            return 0
        step("clean.before")
        personas = {p.id: p for p in read.personas()}
        for reply in chosen:
            _take(reply, personas[reply.entity_id], now)
            count += 1
        wake(Channel.DELIVER)
    step("clean.after")
    return count


def _take(reply: Reply, persona: Persona, now: datetime) -> None:
    generation = reply.generation
    assert generation is not None
    if generation.state != GenerationState.DONE:
        late = generation.state == GenerationState.EXPIRED
        _end(
            reply,
            ReplyState.DROPPED if late else ReplyState.FAILED,
            generation.error or f"its generation was {generation.state}",
            persona,
            now,
        )
        return
    cleaned = _text(reply, persona, generation.text)
    if not cleaned.text:
        _end(reply, ReplyState.DROPPED, cleaned.why, persona, now)
        return
    verdict = {**reply.verdict, "cleaned": list(cleaned.steps)}
    if settings.DRY_RUN or reply.message.feed.dry_run:
        if reply.permit_id:
            spend.spend(reply.permit_id, now)
        moved(reply, ReplyState.WAITING, ReplyState.DROPPED, text=cleaned.text, ended_at=now, reason="dry run: not posted", verdict=verdict)
        say("reply.dry", f"{persona.username} would say: {cleaned.text}", subject=f"reply:{reply.pk}")
        return
    state = ReplyState.HELD if persona.hold else ReplyState.READY
    moved(reply, ReplyState.WAITING, state, text=cleaned.text, ready_at=now, verdict=verdict)
    say(f"reply.{state.value}", f"{persona.username} says: {cleaned.text}", subject=f"reply:{reply.pk}", characters=len(cleaned.text))


def _text(reply: Reply, persona: Persona, raw: str) -> Cleaned:
    others = {str(line).split(":", 1)[0].strip() for line in reply.verdict.get("shown", []) if ":" in str(line)} - {reply.username}
    recent: list[str] = []
    if reply.mode == Mode.AMBIENT:  # who was asked answers, even with the same words
        own = Reply.objects.filter(entity_id=reply.entity_id, state=ReplyState.POSTED).order_by("-id")
        recent = list(own.values_list("text", flat=True)[:RECENT])
    return tidy(
        raw, persona, username=reply.username, others=sorted(others), limit=min(TEXT_MAXIMUM, reply.message.feed.max_text), recent=recent
    )


def _end(reply: Reply, state: ReplyState, why: str, persona: Persona, now: datetime) -> None:
    if reply.permit_id:
        spend.refund(reply.permit_id, now)
    moved(reply, ReplyState.WAITING, state, ended_at=now, reason=why)
    level = Level.ERROR if state is ReplyState.FAILED else Level.WARNING
    say(f"reply.{state.value}", f"{persona.username} does not answer: {why}", subject=f"reply:{reply.pk}", level=level)
