"""Whose turn a request gets, and who pays for a load: the rows of `logic.fairness`. Shared by the verbs that queue and that seat."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Avg, Max, Subquery, Sum

from cluster.logic import fairness
from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.models import Generation, LanguageModel, Offer, Placement, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When a caller's share reaches a request, and when its turn is."""

    share_at: datetime
    turn_at: datetime


def turn(caller: str, model: LanguageModel, priority: int, ageing_s: float, now: datetime) -> Turn:
    """The turn of a request that is queued in the running transaction; of one caller, one at a time."""
    account = _account(caller)
    # Only now: what others have queued for this caller was not to be seen before the lock was ours.
    waiting = Generation.objects.filter(caller=caller, state=GenerationState.QUEUED, leader__isnull=True).order_by().values("caller")
    answers = Offer.objects.filter(model=model).order_by().values("model")
    loaded = Placement.objects.filter(model=model, state=PlacementState.LOADED).order_by().values("model")
    known = (
        Subquery(waiting.values(last=Max("share_at"))),
        Subquery(answers.values(mean=Avg("answer_seconds"))),
        Subquery(loaded.values(all=Sum("slots"))),
    )
    backlog, answer_s, slots = LanguageModel.objects.order_by().values_list(*known).get(pk=model.pk)
    cost_s = (answer_s or fairness.ANSWER_S) / (slots or fairness.SLOTS)  # so many are written at once
    share = fairness.share(now.timestamp(), _seconds(backlog), _seconds(account.charged_until), cost_s, account.weight)
    return Turn(share_at=_moment(share), turn_at=_moment(fairness.turn(share, priority, ageing_s)))


def charge(caller: str, seconds: float, now: datetime) -> datetime:
    """Put a load of `seconds` on a caller's account: what it asks for next waits behind it. Returns up to when its share is used up."""
    with transaction.atomic():
        account = _account(caller)
        until = _moment(fairness.charge(now.timestamp(), _seconds(account.charged_until), seconds, account.weight))
        Share.objects.filter(pk=account.pk).update(charged_until=until)
        return until


def _account(caller: str) -> Share:
    """The caller's row, locked; made if it is missing."""
    rows = Share.objects.select_for_update(no_key=True).filter(caller=caller)
    if (row := rows.first()) is None:
        Share.objects.bulk_create([Share(caller=caller)], ignore_conflicts=True)
        row = rows.get()
    return row


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
