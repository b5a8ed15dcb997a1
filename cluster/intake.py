"""What must be known of a request before it is queued, asked in one go, with the locks that it needs; and how it is queued.

In this order: nobody else queues an equal request, nobody else queues for the same caller, and only then what others have queued.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Avg, Exists, OuterRef, QuerySet, Subquery, Sum

from cluster import account, cache
from cluster.account import Turn
from cluster.logic.lifecycle import PlacementState
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement
from swwbot_site.lib.wake import Channel, waking
from swwbot_site.lib.written import Insert, Rows, Written, together


def _named(key: str) -> QuerySet[LanguageModel, Any]:
    answers = Offer.objects.filter(model=OuterRef("pk")).order_by()
    loaded = Placement.objects.filter(model=OuterRef("pk"), state=PlacementState.LOADED).order_by()
    return (
        LanguageModel.objects.filter(key=key)
        .order_by()
        .annotate(
            offered=Exists(answers),
            mean=Subquery(answers.values("model").values(mean=Avg("answer_seconds"))),
            slots=Subquery(loaded.values("model").values(all=Sum("slots"))),
        )
        .values_list("pk", "cache_ttl_s", "replaced_at", "offered", "mean", "slots")
    )


POLICY: Final = Written(lambda: ClusterPolicy.objects.filter(pk=1).values_list("ageing_s", "cache_ttl_s"))
NAMED: Final = Written(_named, key=str)
NEW: Final = Insert(
    Generation,
    *("model", "pin", "priority", "deadline", "caller", "request", "request_hash", "home", "queued_at", "share_at", "turn_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a request to a model: of the model, of its caller's account, and of requests that may be equal."""

    model_id: int
    plain: bool
    """Some server has the model, and no other takes its place."""
    ttl_s: float
    """How long its answers may be given again; 0: never."""
    known: bool
    """Some request that might be equal waits, runs or was answered."""
    caller: str
    ageing_s: float
    cost_s: float
    standing: tuple[Rows, Rows]

    def turn(self, priority: int, now: datetime) -> Turn:
        """When its turn is, if it is queued now."""
        return account.turn(self.caller, self.standing, self.cost_s, priority, self.ageing_s, now)


def look(key: str, caller: str, digest: str) -> Seen | None:
    """What is known of a request to the model `key`; None if there is no such model. `digest`: empty if it shares no answer.

    Until the running transaction ends nobody queues for this caller, or an equal request.
    """
    alike = (cache.lock(digest), cache.KNOWN.text(digest=digest)) if digest else ("", "")
    policies, models, _, known, *standing = together(POLICY.text(), NAMED.text(key=key), *alike, *account.standing(caller))
    if not policies:
        ClusterPolicy.current()
        return look(key, caller, digest)
    if not models:
        return None
    (ageing_s, usual_s), (model_id, ttl_s, replaced_at, offered, answer_s, slots) = policies[0], models[0]
    return Seen(
        model_id=model_id,
        plain=offered and replaced_at is None,
        ttl_s=usual_s if ttl_s is None else ttl_s,
        known=bool(known),
        caller=caller,
        ageing_s=ageing_s,
        cost_s=account.cost(answer_s, slots),
        standing=(standing[0], standing[1]),
    )


def add(values: Mapping[str, Any]) -> int:
    """Queue a request that is asked for itself, and wake who serves. Returns its id."""
    rows, _ = together(NEW.text([values]), waking(Channel.SERVE))
    return int(rows[0][0])
