"""Between decide and serve: replies that stand in line before their limits ask again.

Only the first of each line asks, and all the firsts are measured together before any of them locks its budget: a hundred waiting replies
of one entity cost what one costs. Lines are served oldest first, so that a common limit starves nobody; in a line the most urgent is first.
Who cannot be allowed before its deadline is dropped at once, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import F, Func, JSONField, Min, QuerySet, Value
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Coalesce, NullIf

from conversations.logic.lifecycle import ReplyState
from conversations.logic.turnstile import TOO_LATE, again, hopeless
from conversations.models import Reply
from conversations.queued import in_line, queued
from entities import read, spend
from entities.logic.quota import Quota
from swwbot_site.lib.bulk import update_each
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

BATCH: Final = 200
"""At most so many ask in one go; the others follow in the next."""

URGENCY: Final = Coalesce(
    NullIf(KeyTransform("priority", "prepared"), Value(None, output_field=JSONField())),
    Func(F("entity__priority"), function="to_jsonb", output_field=JSONField()),
)
"""What the message asked for, else what its entity has. As JSON, because there anything can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first of a line, which asks again at `permit_at`."""

    reply_id: int
    entity_id: int
    feed_id: int
    deadline: datetime
    permit_at: datetime


def admit(now: datetime, *, anew: bool = False) -> int:
    """Let those whose limits allow it now be generated, and end those for whom it is too late. Returns how many were admitted.

    `anew`: limits have changed, and the first of each line asks at once.
    """
    if not in_line().exists():
        return 0
    _drop(in_line().filter(deadline__lte=now), TOO_LATE, now)
    asked: set[int] = set()
    refused: set[int] = set()
    admitted = 0
    while len(asked) < BATCH:
        due = [head for head in _heads() if (anew or head.permit_at <= now) and head.reply_id not in asked | refused][:BATCH]
        heads = _open(due, now)
        refused.update(head.reply_id for head in due if head not in heads)
        if not heads:
            break
        for head in heads:
            asked.add(head.reply_id)
            if not _ask(head, now):
                break  # a common limit may be closed for all that follow: they are measured again
            admitted += 1
    return admitted


def next_at() -> datetime | None:
    """When somebody in line is to ask again, or it becomes too late for somebody."""
    moments = [head.permit_at for head in _heads()]
    latest = in_line().aggregate(at=Min("deadline"))["at"] if moments else None
    return min([*moments, *([latest] if latest else [])], default=None)


def _heads() -> list[Head]:
    """The first of each line, oldest first."""
    line = ("entity_id", "message__feed_id")
    rows = in_line().alias(urgency=URGENCY).order_by(*line, "urgency", "pk").distinct(*line)
    firsts = rows.values_list("pk", *line, "deadline", "permit_at")
    return [
        Head(reply_id=pk, entity_id=entity, feed_id=feed, deadline=deadline, permit_at=permit_at)
        for pk, entity, feed, deadline, permit_at in sorted(firsts)
        if permit_at is not None
    ]


def _open(heads: Sequence[Head], now: datetime) -> list[Head]:
    """Those of the heads whose limits seem to allow it. The others are told when to ask again, or dropped if that is hopeless."""
    quotas: dict[tuple[int, int], Quota] = {}
    for feed_id in {head.feed_id for head in heads}:
        mine = [head.entity_id for head in heads if head.feed_id == feed_id]
        quotas |= {(entity, feed_id): quota for entity, quota in spend.measured(mine, now, feed=feed_id).items()}
    later: dict[int, datetime] = {}
    found: list[Head] = []
    for head in heads:
        quota = quotas[head.entity_id, head.feed_id]
        if quota.allowed:
            found.append(head)
        elif quota.earliest and (why := hopeless(quota, head.deadline)):
            line = in_line().filter(entity_id=head.entity_id, message__feed_id=head.feed_id)
            _drop(line.filter(deadline__lt=quota.earliest), why, now)
        else:
            later[head.reply_id] = again(quota.free_at, now)
    if later:
        with transaction.atomic():
            rows = in_line().filter(pk__in=later).select_for_update(no_key=True, of=("self",), skip_locked=True)
            update_each(Reply, {pk: {"permit_at": later[pk]} for pk in rows.order_by("pk").values_list("pk", flat=True)})
    return found


def _ask(head: Head, now: datetime) -> bool:
    """Reserve for the first of a line and queue its generation. Returns whether it was admitted."""
    with transaction.atomic():
        rows = in_line().select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("message")
        reply = rows.filter(pk=head.reply_id).first()
        persona = read.one(head.entity_id)
        if reply is None or persona is None:
            return False
        reservation = spend.reserve(head.entity_id, now, feed=head.feed_id)
        if reservation.permit_id is None:
            Reply.objects.filter(pk=reply.pk).update(permit_at=again(reservation.quota.free_at, now))
            return False
        reply.permit_id = reservation.permit_id
        Reply.objects.filter(pk=reply.pk).update(permit_id=reservation.permit_id)
        return queued(reply, persona, now)


def _drop(line: QuerySet[Reply], why: str, now: datetime) -> None:
    """End replies for which it is too late, a batch of them in one transaction."""
    with transaction.atomic():
        rows = line.select_for_update(no_key=True, of=("self",), skip_locked=True)
        late = list(rows.order_by("pk")[:BATCH])
        for reply in late:
            moved(reply, ReplyState.WAITING, ReplyState.DROPPED, ended_at=now, permit_at=None, reason=why)
            text = f"{reply.username} answers no more: {why}"
            say("reply.dropped", text, subject=f"reply:{reply.pk}", level=Level.WARNING)
        if late:
            wake(Channel.DELIVER)
