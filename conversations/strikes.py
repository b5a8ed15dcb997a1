"""An entity whose answers fail by its own fault, one after the other, is switched off.

Its own fault is what would happen again on every machine: a request that every server refuses, a model that nobody has, a plugin that
raises. Servers that were away, answers that came too late and posts that a feed refused say nothing about it; nor does what the message
itself asked for, or anybody in the chat could switch an entity off. Counted are rows since it was switched on last: `max_failures` such
replies without one in between that was answered.
"""

from typing import Final

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Length

from cluster.logic.lifecycle import GenerationState
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from entities import read, switch
from swwbot_site.lib.words import short

OWN: Final = ("ambiguous-model", "bad-request", "format-unsupported", "impossible", "model-missing", "no-model", "unknown-key")
"""Codes of generations that fail for what the entity asks, wherever it asks it."""

USUAL: Final = 1000
"""Characters of the longest message that the older backends take; a longer one may be too long for a sound entity."""

STRIKE: Final = Q(state=ReplyState.FAILED, outgoing_id__isnull=True) & (
    Q(generation__error_code__in=OWN) & ~Q(message__bot_params__has_any_keys=["model", "nom"])
    | Q(generation__isnull=True, size__lte=USUAL) & ~Q(message__bot_params__has_any_keys=["model", "nom", "ais"])
    | Q(generation__state=GenerationState.DONE)
)
"""A reply that failed by its entity's own fault; `size` is the length of the message that it answers."""

ANSWERED: Final = Q(state=ReplyState.POSTED) | Q(state=ReplyState.DROPPED, generation__state=GenerationState.DONE)
"""A reply for which its model wrote something sound, posted or not."""

QUOTED: Final = 300
"""Characters of the last failure that the reason repeats."""


def struck(entity_id: int) -> None:
    """A reply of this entity has failed: after the running transaction, count, and switch the entity off if that was one too many."""

    def then() -> None:
        count(entity_id)

    transaction.on_commit(then, robust=True)


def count(entity_id: int) -> bool:
    """Switch the entity off if its last answers failed one after the other. Returns whether it was."""
    persona = read.one(entity_id)
    if persona is None or not persona.enabled or not persona.max_failures:
        return False
    own = Reply.objects.filter(entity_id=entity_id, ended_at__isnull=False).annotate(size=Length("message__text"))
    ended = own.filter(STRIKE | ANSWERED)
    if persona.enabled_at is not None:
        ended = ended.filter(decided_at__gte=persona.enabled_at)
    last = list(ended.order_by("-ended_at", "-id").values_list("state", "reason")[: persona.max_failures])
    if len(last) < persona.max_failures or any(state != ReplyState.FAILED for state, _ in last):
        return False
    several = f"{len(last)} answers in a row failed; the last" if len(last) > 1 else "its answer failed"
    return bool(switch.disable([entity_id], f"{several}: {short(last[0][1] or 'no reason given', QUOTED)}"))
