"""Whose turn a request gets, and who pays for a load: the rows of `logic.fairness`. Shared by the verbs that queue and that seat."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from cluster.logic import fairness
from cluster.logic.lifecycle import GenerationState
from cluster.models import Generation, Share
from swwbot_site.lib.written import Rows, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When a caller's share reaches a request, and when its turn is."""

    share_at: datetime
    turn_at: datetime


def _locked(caller: str) -> QuerySet[Share, Any]:
    return Share.objects.select_for_update(no_key=True).filter(caller=caller).order_by().values_list("weight", "charged_until")


def _backlog(caller: str) -> QuerySet[Generation, Any]:
    waiting = Generation.objects.filter(caller=caller, state=GenerationState.QUEUED, leader__isnull=True)
    return waiting.order_by("-share_at").values_list("share_at")[:1]


LOCKED: Final = Written(_locked, caller=str)
BACKLOG: Final = Written(_backlog, caller=str)


def standing(caller: str) -> tuple[str, str]:
    """The statements, for `together`, that lock a caller's account and then ask for its backlog."""
    # In this order: what others have queued for this caller was not to be seen before the lock was ours.
    return LOCKED.text(caller=caller), BACKLOG.text(caller=caller)


def cost(answer_s: float | None, slots: int | None) -> float:
    """Seconds that one answer of a model costs: so many are written at once."""
    return (answer_s or fairness.ANSWER_S) / (slots or fairness.SLOTS)


def turn(caller: str, standing: tuple[Rows, Rows], cost_s: float, priority: int, ageing_s: float, now: datetime) -> Turn:
    """The turn of a request that is queued in the running transaction; `standing` is what the statements of that name found."""
    accounts, backlog = standing
    if not accounts:
        account = _account(caller)
        accounts = [(account.weight, account.charged_until)]
        backlog = BACKLOG.rows(caller=caller)
    weight, charged_until = accounts[0]
    last = backlog[0][0] if backlog else None
    share = fairness.share(now.timestamp(), _seconds(last), _seconds(charged_until), cost_s, weight)
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
