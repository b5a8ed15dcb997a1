"""What of the roof's own rows goes when it is old: events and who was told of them, and what the machinery leaves behind."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.apps import apps
from django.db.models import Max, Min, Q

from swwbot_site.lib.pruning import Chosen, Cut, erase, referred, some, walk
from swwbot_site.models import Delivery, Event, LoginAttempt, Repeat, Webhook
from swwbot_site.webhooks.attempts import DeliveryState

LAG: Final = 2_000
"""Webhooks look so many events and less behind what they have told."""

TRIED: Final = timedelta(days=1)
"""A try to log in counts for a quarter of an hour."""


def deliveries(cut: Cut) -> Chosen:
    """Deliveries that ended long ago; they are made when their events are told."""
    rows = Delivery.objects.exclude(state=DeliveryState.WAITING).filter(ended_at__lt=cut.before)
    return walk(Delivery.objects.all(), "event__at", cut).of(rows)


def undeliver(ids: Sequence[int]) -> dict[str, int]:
    """Delete deliveries."""
    return {"deliveries": erase(Delivery, ids)}


def events(cut: Cut, most: int, now: datetime) -> Chosen:
    """Events that happened long ago, or too many ago (0: any number), which no webhook has to be told."""
    newest = Event.objects.aggregate(pk=Max("pk"))["pk"] or 0
    told = Webhook.objects.filter(enabled=True).aggregate(pk=Min("cursor"))["pk"]
    last = newest if told is None else told - LAG
    surplus = Event.objects.filter(pk__lte=min(last, newest - most)) if most else Event.objects.none()
    old = Event.objects.filter(at__lt=cut.before, pk__lte=last)
    walked = walk(surplus, "at", Cut(before=now, after=cut.after, size=cut.size))
    if not walked.ids:
        walked = walk(Event.objects.all(), "at", cut)
    return walked.of((surplus | old if most else old).exclude(referred(Event)))


def unsay(ids: Sequence[int]) -> dict[str, int]:
    """Delete events."""
    return {"events": erase(Event, ids)}


def repeats(cut: Cut) -> Chosen:
    """Answers to requests with a key that may not be asked for again."""
    return some(Repeat.objects.filter(created_at__lt=cut.before), cut)


def unrepeat(ids: Sequence[int]) -> dict[str, int]:
    """Delete them."""
    return {"repeated requests": erase(Repeat, ids)}


def logins(cut: Cut) -> Chosen:
    """Tries to log in that count no more."""
    return some(LoginAttempt.objects.filter(at__lt=cut.before), cut)


def unlog(ids: Sequence[int]) -> dict[str, int]:
    """Delete them."""
    return {"login attempts": erase(LoginAttempt, ids)}


def sessions(cut: Cut) -> Chosen:
    """Logins of browsers that have run out."""
    return some(_model("sessions", "Session").objects.filter(expire_date__lt=cut.before), cut)


def end(ids: Sequence[str]) -> dict[str, int]:
    """Delete them."""
    return {"sessions": erase(_model("sessions", "Session"), ids)}


def tasks(cut: Cut) -> Chosen:
    """Background tasks that failed long ago; of those that did not, django-q keeps a hundred by itself."""
    return some(_model("django_q", "Task").objects.filter(Q(success=False, stopped__lt=cut.before)), cut)


def untask(ids: Sequence[str]) -> dict[str, int]:
    """Delete them."""
    return {"failed tasks": erase(_model("django_q", "Task"), ids)}


def _model(app: str, name: str) -> Any:
    return apps.get_model(app, name)
