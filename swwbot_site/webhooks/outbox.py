"""The rows of deliveries: made for every event that a webhook wants, claimed by one engine, settled after each attempt."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Min, Q

from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import FREE, abandoned, taken
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.lib.written import Written
from swwbot_site.models import Delivery, Event, Webhook
from swwbot_site.webhooks import attempts
from swwbot_site.webhooks.attempts import DeliveryState

BATCH: Final = 500
"""Events that are given out in one turn."""

LATE: Final = timedelta(seconds=30)
"""Numbers are given before transactions end: an event may appear so long after one with a higher number."""

LAG: Final = 1_000
"""… and so many numbers behind it."""

AT_ONCE: Final = 20
"""Deliveries of one webhook that an engine takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One attempt: where to, with which secret, what. `name` is the same at every attempt, `attempt` counts from 1."""

    delivery_id: int
    webhook: str
    url: str
    secret: str
    name: str
    attempt: int
    body: bytes


def spread() -> bool:
    """Make the deliveries of what happened since the last time, once each. Returns whether there may be more."""
    more = False
    for pk in Webhook.objects.filter(enabled=True).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            hook = Webhook.objects.select_for_update(skip_locked=True).filter(pk=pk, enabled=True).first()
            if hook is not None:
                more |= _spread(hook, clock.now())
    return more


def _spread(hook: Webhook, now: datetime) -> bool:
    news = Event.objects.filter(at__gte=hook.since, pk__gt=hook.cursor - LAG).order_by("pk")
    late = news.filter(pk__lte=hook.cursor, at__gte=now - LATE).exclude(deliveries__webhook=hook)
    fresh = list(news.filter(pk__gt=hook.cursor)[:BATCH])
    rows = [Delivery(webhook=hook, event=event, attempt_at=now) for event in (*late, *fresh) if attempts.wanted(event.kind, hook.kinds)]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    if fresh:
        Webhook.objects.filter(pk=hook.pk).update(cursor=fresh[-1].pk)
    return len(fresh) == BATCH


TAKEN: Final = Written(
    lambda: Delivery.objects.filter(state=DeliveryState.WAITING, lease_owner__isnull=False).order_by().values_list("pk")[:1]
)
"""Something that some engine has in hand."""


def claim(owner: int, now: datetime) -> list[list[Parcel]]:
    """Take what is due; of each webhook in the order of events, and by one engine at a time."""
    due = Delivery.objects.filter(state=DeliveryState.WAITING, attempt_at__lte=now, webhook__enabled=True)
    found = []
    for pk in due.filter(lease_owner__isnull=True).order_by("webhook_id").values_list("webhook_id", flat=True).distinct():
        with transaction.atomic():
            if not Webhook.objects.select_for_update(skip_locked=True).filter(pk=pk, enabled=True).exists():
                continue
            if Delivery.objects.filter(webhook=pk, lease_owner__isnull=False).exists():
                continue
            rows = list(due.filter(webhook=pk).select_related("webhook", "event").order_by("event_id")[:AT_ONCE])
            Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(**taken(owner, now))
            found.append([_parcel(row) for row in rows])
    return found


def _parcel(row: Delivery) -> Parcel:
    event = row.event
    data = {"id": event.pk, "subject": event.subject, "level": event.level, "text": event.text, "detail": event.detail}
    body = {"type": event.kind, "timestamp": event.at.isoformat(), "data": data}
    return Parcel(
        delivery_id=row.pk,
        webhook=row.webhook.name,
        url=row.webhook.url,
        secret=row.webhook.secret,
        name=f"evt_{event.pk}",
        attempt=row.attempts + 1,
        body=json.dumps(body, ensure_ascii=False).encode(),
    )


def settle(parcel: Parcel, status: int | None, answer: str, dice: Callable[[], float]) -> None:
    """What came of an attempt: taken, to be tried again, or given up. `status` is None where there was no answer."""
    now = clock.now()
    told: dict[str, Any] = {"attempts": parcel.attempt, "status": status, "answer": answer, **FREE}
    rows = Delivery.objects.filter(pk=parcel.delivery_id)
    with transaction.atomic():
        if attempts.taken(status):
            move(rows, DeliveryState.WAITING, DeliveryState.DELIVERED, ended_at=now, **told)
            return
        again = attempts.again_at(parcel.attempt, status, now, dice)
        if again is not None:
            rows.filter(state=DeliveryState.WAITING).update(attempt_at=again, **told)
            return
        if move(rows, DeliveryState.WAITING, DeliveryState.FAILED, ended_at=now, **told):
            text = f"{parcel.webhook} did not take {parcel.name} in {parcel.attempt} attempts: {answer or status}"
            say("webhook.failed", text, subject=f"webhook:{parcel.webhook}", level=Level.ERROR, delivery=parcel.delivery_id)
        if status == attempts.GONE and Webhook.objects.filter(deliveries=parcel.delivery_id, enabled=True).update(enabled=False):
            text = f"{parcel.webhook} answered 410, wants nothing any more, and is off"
            say("webhook.disabled", text, subject=f"webhook:{parcel.webhook}", level=Level.WARNING)


def resend(ids: Sequence[int], who: str) -> int:
    """Have deliveries that have ended sent again, with all attempts before them. Returns how many had ended."""
    now, count = clock.now(), 0
    with transaction.atomic():
        for old in (DeliveryState.FAILED, DeliveryState.DELIVERED):
            rows = Delivery.objects.filter(pk__in=ids)
            count += move(rows, old, DeliveryState.WAITING, attempts=0, attempt_at=now, ended_at=None)
        if count:
            say("webhook.resent", f"{who} has {count} deliveries sent again", who=who)
            wake(Channel.EVENTS)
    return count


def soonest() -> datetime | None:
    """When the next attempt is due."""
    rows = Delivery.objects.filter(state=DeliveryState.WAITING, webhook__enabled=True, lease_owner__isnull=True)
    at: datetime | None = rows.aggregate(at=Min("attempt_at"))["at"]
    return at


def give_back(ids: Sequence[int], owner: int) -> int:
    """What was taken and not sent waits again."""
    return Delivery.objects.filter(pk__in=ids, lease_owner=owner).update(**FREE)


def renew(owner: int, ids: Sequence[int], now: datetime) -> None:
    """Renew the leases of what is being sent."""
    Delivery.objects.filter(pk__in=ids, lease_owner=owner).update(**taken(owner, now))


def reap(now: datetime, alive: frozenset[int]) -> int:
    """Take back what dead engines had taken: it is sent again."""
    if not TAKEN.rows():
        return 0
    lost = Delivery.objects.filter(Q(state=DeliveryState.WAITING) & abandoned(now, alive)).update(**FREE)
    if lost:
        wake(Channel.EVENTS)
    return lost
