"""The door for posting rights: reserve before generating, spend after posting, refund on drop.

The budget of an entity is shared by every worker, so its row is locked while it is measured; common limits lock their own rows.
Call these inside the transaction that needs them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from entities.logic.lifecycle import PermitState
from entities.logic.quota import Ledger, Quota, Rule, quota
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib.transitions import move


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The permit, or None with the reason and the time to ask again in `quota`."""

    permit_id: int | None
    quota: Quota


def lock(entity_ids: Iterable[int]) -> int:
    """Lock the budgets of entities, and the common one after them, always in the same order; returns how many entities there are.

    Call it first in a transaction that reserves for more than one, so that nobody waits in a circle.
    """
    found = list(
        Entity.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=list(entity_ids)).order_by("pk").values_list("pk")
    )
    list(RateLimit.objects.select_for_update(no_key=True).filter(entity__isnull=True).order_by("pk").values_list("pk"))
    return len(found)


def reserve(entity_id: int, now: datetime) -> Reservation:
    """Reserve one post of an entity, if every limit allows it. Raises Entity.DoesNotExist."""
    with transaction.atomic():
        if not lock([entity_id]):
            raise Entity.DoesNotExist(f"there is no entity with the primary key {entity_id}")
        measured = measure(entity_id, now)
        if not measured.allowed:
            return Reservation(permit_id=None, quota=measured)
        permit = Permit.objects.create(entity_id=entity_id, reserved_at=now)
        return Reservation(permit_id=permit.pk, quota=measured)


def spend(permit_id: int, now: datetime) -> bool:
    """The post is out. Returns whether the permit was still reserved."""
    return bool(move(Permit.objects.filter(pk=permit_id), PermitState.RESERVED, PermitState.SPENT, settled_at=now))


def refund(permit_id: int, now: datetime) -> bool:
    """There will be no post. Returns whether the permit was still reserved."""
    return bool(move(Permit.objects.filter(pk=permit_id), PermitState.RESERVED, PermitState.REFUNDED, settled_at=now))


def measure(entity_id: int, now: datetime) -> Quota:
    """What the limits of an entity leave it, without reserving anything."""
    rows = RateLimit.objects.filter(Q(entity_id=entity_id) | Q(entity__isnull=True)).order_by("entity", "kind")
    rules = [Rule(kind=row.kind, amount=row.amount, whole=row.entity_id is None) for row in rows]
    own = _ledger(Permit.objects.filter(entity_id=entity_id), now, rules, whole=False)
    return quota(rules, own, _ledger(Permit.objects.all(), now, rules, whole=True), now)


def _ledger(permits: QuerySet[Permit], now: datetime, rules: list[Rule], *, whole: bool) -> Ledger:
    """The part of the ledger that the rules look at."""
    spans = [rule.span for rule in rules if rule.whole == whole]
    if not spans:
        return Ledger()
    reserved = permits.filter(state=PermitState.RESERVED).count()
    # In this order: a permit that is spent between the two reads counts twice, never not at all.
    spent = permits.filter(state=PermitState.SPENT, settled_at__gt=now - max(spans)).values_list("settled_at", flat=True)
    return Ledger(spent=tuple(t for t in spent if t), reserved=reserved)
