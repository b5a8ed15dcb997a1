"""The cluster in figures, for Prometheus: what ended in a span of time, and how long requests waited lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Count, F, FloatField, Func, Q, QuerySet, Sum

from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.models import Generation, Placement
from swwbot_site.lib import tallies

QUANTILES: Final = (0.5, 0.9, 0.99)

_WAITS: Final = """
SELECT m.key, count(*),
       percentile_cont(%s::float8[]) WITHIN GROUP (ORDER BY extract(epoch FROM g.asked_at - g.queued_at)),
       percentile_cont(%s::float8[]) WITHIN GROUP (ORDER BY extract(epoch FROM g.first_token_at - g.asked_at))
FROM cluster_generation g JOIN cluster_languagemodel m ON m.id = g.model_id
WHERE g.ended_at >= %s AND g.asked_at IS NOT NULL
GROUP BY m.key ORDER BY m.key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """One model's requests that ended lately: how many, and by quantile the seconds until they were asked, and then until the first token."""

    model: str
    count: int
    queued_s: Mapping[float, float]
    first_token_s: Mapping[float, float]


def waits(since: datetime) -> tuple[Waits, ...]:
    """How long those waited that ended since then, by model."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITS, [list(QUANTILES), list(QUANTILES), since])
        return tuple(
            Waits(model=key, count=count, queued_s=_quantiles(queued), first_token_s=_quantiles(first))
            for key, count, queued, first in cursor.fetchall()
        )


def _quantiles(values: Sequence[float] | None) -> dict[float, float]:
    return {} if values is None else {q: float(value) for q, value in zip(QUANTILES, values, strict=True)}


def sums(after: datetime | None, until: datetime) -> list[tallies.Sum]:
    """What ended after the one moment (None: ever) and up to the other: requests by state, tokens, loads and their seconds, evictions.

    Tokens are those that a server has read and written: answers from the cache, and those of an equal request, cost none.
    """
    ended = _within(Generation.objects.all(), "ended_at", after, until)
    asked = ended.filter(state=GenerationState.DONE, cached=False, leader__isnull=True)
    loaded = _within(Placement.objects.filter(adopted=False), "loaded_at", after, until)
    gone = _within(Placement.objects.all(), "ended_at", after, until)
    evicted = gone.filter(state=PlacementState.GONE, departure__for__isnull=False)
    seconds = Sum(
        Func(
            F("loaded_at") - F("created_at"), function="extract", template="extract(epoch FROM %(expressions)s)", output_field=FloatField()
        )
    )
    return [
        *tallies.daily(ended, "ended_at", "state", generations=Count("pk")),
        *tallies.daily(asked, "ended_at", "model__key", tokens_in=Sum("prompt_tokens"), tokens_out=Sum("completion_tokens")),
        *tallies.daily(
            loaded, "loaded_at", "model__key", loads=Count("pk"), load_seconds=seconds, preloads=Count("pk", filter=Q(preloaded=True))
        ),
        *tallies.daily(gone.filter(state=PlacementState.FAILED), "ended_at", "model__key", loads_failed=Count("pk")),
        *tallies.daily(evicted, "ended_at", "model__key", evictions=Count("pk")),
    ]


def _within(rows: "QuerySet[Any]", moment: str, after: datetime | None, until: datetime) -> "QuerySet[Any]":
    rows = rows.filter(**{f"{moment}__lte": until})
    return rows if after is None else rows.filter(**{f"{moment}__gt": after})
