"""Limits as people handle them: how each stands, and its count begun anew.

To begin anew is to forgive the posts that are counted: no limit counts them any more. What is reserved is still to be posted and stays.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from entities import ledger
from entities.logic.lifecycle import PermitState
from entities.logic.quota import Left, Rule, left
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib import clock
from swwbot_site.lib.events import say
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake

KINDS: Final = tuple(str(kind) for kind in RateLimit.Kind.values)


def reset(entity_id: int | None, kind: str | None, who: str, *, feed: int | None = None) -> int:
    """Forgive the posts that limits of `kind` (None: of every kind) still see. Returns how many.

    Of one entity, or of all of them (None); in one feed, or in all (None). How far back that reaches is the longest span of such a limit
    that applies to them; where there is none, nothing is forgiven. Raises ValueError for a kind that there is not, Entity.DoesNotExist.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of limit: there are {', '.join(KINDS)}")
    with transaction.atomic():
        # The entity's budget first, like whoever reserves: two who begin the same count anew do not meet in the middle of it.
        slug = _slug(entity_id)
        span = _reach(entity_id, kind, feed)
        permits: dict[str, Any] = {} if entity_id is None else {"entity_id": entity_id}
        permits |= {} if feed is None else {"feed_id": feed}
        rows = (
            Permit.objects.filter(**permits, state=PermitState.SPENT, settled_at__gt=clock.now() - span) if span else Permit.objects.none()
        )
        ids = list(rows.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True))
        n = move(Permit.objects.filter(pk__in=ids), PermitState.SPENT, PermitState.FORGIVEN)
        whose = f"of {slug}" if slug else "of all entities"
        what = f"{kind} limits" if kind else "limits"
        text = f"The {what} {whose} begin anew: {n} post{'' if n == 1 else 's'} forgiven"
        say("limits.reset", text, subject=f"entity:{slug}" if slug else "", who=who, limits=kind or "all", feed=feed, posts=n)
        wake(Channel.LIMITS, Channel.LISTEN)
    return n


def standing(limit_ids: Iterable[int], now: datetime) -> Mapping[int, Left]:
    """What each of these limits leaves now, by its own key; with two questions to the database."""
    rows = RateLimit.objects.filter(pk__in=list(limit_ids)).select_related("feed").order_by("pk")
    rules = {row.pk: (row.entity_id or 0, _rule(row)) for row in rows}
    uses = ledger.uses(rules.values(), now)
    return {pk: left(asked[1], uses[asked], now) for pk, asked in rules.items()}


def _rule(row: RateLimit) -> Rule:
    return Rule(
        kind=row.kind,
        amount=row.amount,
        every=row.every,
        whole=row.entity_id is None,
        feed_id=row.feed_id,
        feed=row.feed.name if row.feed else "",
    )


def _slug(entity_id: int | None) -> str:
    """The entity's id for people, its row locked; empty for all of them."""
    if entity_id is None:
        return ""
    return Entity.objects.select_for_update(no_key=True, of=("self",)).get(pk=entity_id).slug


def _reach(entity_id: int | None, kind: str | None, feed: int | None) -> timedelta:
    """How far back the limits look that the posts count for."""
    rows = RateLimit.objects.all() if entity_id is None else RateLimit.objects.filter(Q(entity_id=entity_id) | Q(entity__isnull=True))
    rows = rows if kind is None else rows.filter(kind=kind)
    rows = rows if feed is None else rows.filter(Q(feed_id=feed) | Q(feed__isnull=True))
    spans = [Rule(kind=kind, amount=amount, every=every).span for kind, amount, every in rows.values_list("kind", "amount", "every")]
    return max(spans, default=timedelta())
