"""The door for posting rights: reserve before generating, spend after posting, refund on drop.

The budget of an entity is shared by every worker, so its row is locked while it is measured, and after it those of the common limits.
Call these inside the transaction that needs them.

A permit is a right: a limit that is made or tightened after the reservation counts it, and does not take it back. What has been
generated is posted, what comes after it waits for the new limit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import models, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Greatest

from entities import ledger
from entities.logic.lifecycle import PermitState
from entities.logic.quota import Quota, Rule, Use, quota
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib.transitions import move
from swwbot_site.lib.written import Rows, Written, together

_LOCKED: Final = Written(
    lambda entities: Entity.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=entities).order_by("pk").values_list("pk"),
    entities=list,
)
_COMMON: Final = Written(
    lambda: RateLimit.objects.select_for_update(no_key=True, of=("self",)).filter(entity__isnull=True).order_by("pk").values_list("pk")
)
_COMMON_IN: Final = Written(
    lambda feed: (
        RateLimit.objects.select_for_update(no_key=True, of=("self",))
        .filter(Q(feed__isnull=True) | Q(feed=feed), entity__isnull=True)
        .order_by("pk")
        .values_list("pk")
    ),
    feed=int,
)
_RULES: Final = Written(
    lambda entities: (
        RateLimit.objects.filter(Q(entity__in=entities) | Q(entity__isnull=True))
        .order_by("entity_id", "feed_id", "kind", "every")
        .values_list("entity", "kind", "amount", "every", "feed", "feed__name")
    ),
    entities=list,
)

_NO_FEED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The permit, or None with the reason and the time to ask again in `quota`."""

    permit_id: int | None
    quota: Quota


def lock(entity_ids: Iterable[int], feed: int | None = None) -> int:
    """Lock the budgets of entities, and after them the common ones, of a feed or of all (None); returns how many entities there are.

    The order is always the same: entities by key, then common limits by key. Call it first in a transaction that reserves for more than
    one, so that nobody waits in a circle.
    """
    common = _COMMON.text() if feed is None else _COMMON_IN.text(feed=feed)
    return len(together(_LOCKED.text(entities=list(entity_ids)), common)[0])


def reserve(entity_id: int, now: datetime, *, feed: int | None = None, ahead: Callable[[Rule], int] = lambda _: 0) -> Reservation:
    """Reserve one post of an entity in a feed, if every limit allows it. Raises Entity.DoesNotExist.

    `ahead` says how many others wait for a place of a rule and come first: for each of them one place is left.
    """
    with transaction.atomic():
        common = _COMMON_IN.text(feed=_NO_FEED if feed is None else feed)
        locked, _, rows = together(_LOCKED.text(entities=[entity_id]), common, _RULES.text(entities=[entity_id]))
        if not locked:
            raise Entity.DoesNotExist(f"there is no entity with the primary key {entity_id}")
        rules = [rule for _, rule in _rules(rows) if rule.feed_id in (None, feed)]
        uses = ledger.uses([(entity_id, rule) for rule in rules], now)
        measured = quota(rules, lambda rule: uses[entity_id, rule], now, feed_id=feed, ahead=ahead)
        if not measured.allowed:
            return Reservation(permit_id=None, quota=measured)
        permit = Permit.objects.create(entity_id=entity_id, feed_id=feed, reserved_at=now)
        return Reservation(permit_id=permit.pk, quota=measured)


def spend(permit_id: int, now: datetime) -> bool:
    """The post went out at `now`; a clock that is behind that of the reservation does not matter. Returns whether it was still reserved."""
    settled = Greatest(F("reserved_at"), Value(now, output_field=models.DateTimeField()))
    return bool(move(Permit.objects.filter(pk=permit_id), PermitState.RESERVED, PermitState.SPENT, settled_at=settled))


def refund(permit_id: int, now: datetime) -> bool:
    """There will be no post. Returns whether the permit was still reserved."""
    return bool(move(Permit.objects.filter(pk=permit_id), PermitState.RESERVED, PermitState.REFUNDED, settled_at=now))


def reserved(before: datetime) -> list[int]:
    """The permits that were reserved before that moment and are not settled, for whoever knows what they were reserved for."""
    rows = Permit.objects.filter(state=PermitState.RESERVED, reserved_at__lt=before)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def measure(entity_id: int, now: datetime, *, feed: int | None = None) -> Quota:
    """What the limits of an entity leave it, without reserving anything; without a feed those of single feeds are only shown."""
    return measured([entity_id], now, feed=feed)[entity_id]


def measured(entity_ids: Iterable[int], now: datetime, *, feed: int | None = None) -> Mapping[int, Quota]:
    """`measure` for many entities, with two questions to the database."""
    ids = sorted({*entity_ids})
    own: dict[int | None, list[Rule]] = {}
    for entity_id, rule in _rules(_RULES.rows(entities=ids)):
        if feed is None or rule.feed_id in (None, feed):
            own.setdefault(entity_id, []).append(rule)
    rules = {entity_id: [*own.get(entity_id, ()), *own.get(None, ())] for entity_id in ids}
    uses = ledger.uses([(entity_id, rule) for entity_id, some in rules.items() for rule in some], now)

    def use(entity_id: int) -> Callable[[Rule], Use]:
        return lambda rule: uses[entity_id, rule]

    return {entity_id: quota(some, use(entity_id), now, feed_id=feed) for entity_id, some in rules.items()}


def _rules(rows: Rows) -> Iterable[tuple[int | None, Rule]]:
    """Limits as they were read: the entity, None for all together, and the rule."""
    for entity_id, kind, amount, every, feed_id, feed in rows:
        yield entity_id, Rule(kind=kind, amount=amount, every=every, whole=entity_id is None, feed_id=feed_id, feed=feed or "")
