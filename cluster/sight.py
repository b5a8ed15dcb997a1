"""The rows that every plan is made from, read in one go: under the planner's lock each way to the database and back is time that others
wait. What changes seldom is remembered elsewhere (`catalogue`).
"""

import json
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Coalesce

from cluster.logic.breaker import CRASH_S
from cluster.logic.lifecycle import HELD, GenerationState
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server
from swwbot_site.lib.bulk import epoch
from swwbot_site.lib.written import Rows, Written, together

UNSEEN = ("url", "token", "version", "state_since", "retry_at", "seen_at", "listed_at", "probe_lease_until", "withdrawn_at")
"""The columns of a server that no plan depends on."""

_COLUMNS: Final = tuple(field.attname for field in Server._meta.concrete_fields if field.name not in UNSEEN)
_DOCUMENTS: Final = tuple(_COLUMNS.index(name) for name in ("formats", "preferred_models"))
_POLICY: Final = tuple(field.attname for field in ClusterPolicy._meta.concrete_fields)


class Sight(NamedTuple):
    """What the queries of the same names, in capitals, found."""

    cooling: Rows
    waiting: Rows
    servers: Rows
    placed: Rows
    models: Rows


def _cooling(now: datetime, since: datetime) -> QuerySet[Offer, Any]:
    recent = Offer.objects.filter(Q(cooldown_until__gt=now) | Q(crashed_at__gt=since)).order_by()
    return recent.values_list("server_id", "model_id", "cooldown_until", "cooldown_reason", "crashed_at")


def _waiting(now: datetime) -> QuerySet[Generation, Any]:
    rows = Generation.objects.filter(Generation.ripe(now)).order_by().values_list("model_id", "pin_id", "avoid_id")
    first = {"turn": Min("turn_at"), "oldest": Min("queued_at"), "soonest": Min("deadline")}
    return rows.annotate(n=Count("id"), best=Min("priority"), **first, latest=Max("deadline"), timed=Count("deadline"))


def _held() -> QuerySet[Placement, Any]:
    names = ("pk", "server_id", "model_id", "state", "gb", "slots", "pinned", "served", "failures", "dismissed")
    times = {"since": epoch(Coalesce("loaded_at", "created_at")), "used": epoch("used_at"), "rest": epoch("rest_until")}
    rows = Placement.objects.filter(state__in=HELD).order_by("pk").annotate(n=Count("seats"), **times)
    return rows.values_list(*names, "n", *times)


def _models() -> QuerySet[LanguageModel, Any]:
    columns = ("pk", "key", "size_gb", "rate", "usual", "expected_at", "successor_id", "successor_at", "replaced_at")
    return LanguageModel.objects.order_by("key").values_list(*columns)


FIRST: Final = Written(
    # In the order of its index: otherwise Postgres may look through all that were ever answered to find one that waits.
    lambda: Generation.objects.filter(state=GenerationState.QUEUED).order_by("model_id", "turn_at", "id").values_list("pk")[:1]
)
"""Something that waits, if anything does."""

PLANNED: Final = Written(lambda: ClusterPolicy.objects.filter(pk=1, rates_at__isnull=False).order_by().values_list("rates_at"))
"""When some engine last made a plan."""

COOLING: Final = Written(_cooling, now=datetime, since=datetime)
WAITING: Final = Written(_waiting, now=datetime)
SERVERS: Final = Written(lambda: Server.objects.order_by("name").values_list(*_COLUMNS))
PLACED: Final = Written(_held)
MODELS: Final = Written(_models)
LOCKED: Final = Written(lambda: ClusterPolicy.objects.select_for_update(no_key=True).filter(pk=1).order_by().values_list(*_POLICY))


def _questions(now: datetime) -> tuple[str, ...]:
    cooling = COOLING.text(now=now, since=now - timedelta(seconds=CRASH_S))
    return cooling, WAITING.text(now=now), SERVERS.text(), PLACED.text(), MODELS.text()


def look(now: datetime) -> Sight:
    """What there is to be seen at this moment."""
    return Sight(*together(*_questions(now)))


def locked(now: datetime) -> tuple[ClusterPolicy, Sight]:
    """Take the planner's lock, until the running transaction ends; then look."""
    policies, *found = together(LOCKED.text(), *_questions(now))
    if not policies:
        return ClusterPolicy.locked(), look(now)
    return ClusterPolicy.from_db("default", _POLICY, policies[0]), Sight(*found)


def server(row: tuple[Any, ...]) -> Server:
    """A row of `servers` as what it is, without the columns that no plan depends on."""
    values = list(row)
    for number in _DOCUMENTS:
        values[number] = json.loads(values[number])
    return Server.from_db("default", _COLUMNS, values)
