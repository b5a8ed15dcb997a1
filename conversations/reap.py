"""What nobody works at any more, because a row that it needs was deleted or its feed was switched off, is brought to an end.

::

    a permit that is reserved for no answer                     comes back: its message, and the answer with it, was deleted
    an answer that waits for a generation that is not there     is dropped
    a post that its feed took and, switched off, never shows    fails; its permit is spent, for most likely it was posted

Without this a limit would count for ever what nobody will post.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from conversations import outbox
from conversations.logic.delivery import too_late
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from entities import spend

EVERY: Final = timedelta(seconds=30)
"""Nobody waits for it."""

SETTLING: Final = timedelta(minutes=1)
"""A permit younger than this may be that of an answer whose transaction has not ended."""

BATCH: Final = 200


class Reaper:
    """`reap` for the heartbeat of an engine, which is more often than is needed."""

    def __init__(self) -> None:
        self._at: datetime | None = None

    def __call__(self, now: datetime, _: frozenset[int]) -> int:
        if self._at is not None and now < self._at <= now + EVERY:  # a clock may be set back
            return 0
        self._at = now + EVERY
        return reap(now)


def reap(now: datetime) -> int:
    """Bring to an end what nobody works at. Returns how much."""
    return _orphans(now) + _unseen(now) + _permits(now)


@transaction.atomic
def _orphans(now: datetime) -> int:
    rows = Reply.objects.filter(state=ReplyState.WAITING, generation__isnull=True, permit_at__isnull=True)
    return sum(outbox.ended(reply, ReplyState.DROPPED, "its generation does not exist any more", now) for reply in _locked(rows))


@transaction.atomic
def _unseen(now: datetime) -> int:
    rows = Reply.objects.filter(
        state=ReplyState.POSTING, accepted_at__isnull=False, message__feed__enabled=False, deadline__lte=too_late(now)
    )
    for reply in (replies := _locked(rows)):
        if reply.permit_id and reply.accepted_at:
            spend.spend(reply.permit_id, reply.accepted_at)
        outbox.ended(reply, ReplyState.FAILED, "its feed was switched off before anybody saw whether it shows the post", now)
    return len(replies)


def _locked(rows: QuerySet[Reply, Any]) -> list[Reply]:
    return list(rows.select_for_update(no_key=True, of=("self",), skip_locked=True).order_by("pk")[:BATCH])


def _permits(now: datetime) -> int:
    reserved = spend.reserved(now - SETTLING)
    held = set(Reply.objects.filter(permit__in=reserved).order_by().values_list("permit_id", flat=True)) if reserved else set()
    return sum(spend.refund(permit_id, now) for permit_id in reserved if permit_id not in held)
