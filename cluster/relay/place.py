"""Where requests stand in the queue, in words for whoever waits for them."""

from collections.abc import Collection
from typing import Final

from django.db.models import F, OuterRef, Subquery, Window
from django.db.models.functions import RowNumber

from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.loading import expected_s, progress
from cluster.models import Generation, Offer, Placement
from swwbot_site.lib import clock

LONGEST: Final = 200


def places(ids: Collection[int]) -> dict[int, str]:
    """By number: the place of those that wait, what is loaded for them and how far that is, and otherwise why they wait."""
    models = set(Generation.objects.filter(pk__in=ids).values_list("model_id", flat=True))
    queued = Generation.objects.filter(state=GenerationState.QUEUED, leader__isnull=True, model__in=models)
    turn = Window(RowNumber(), partition_by=F("model"), order_by=[F("turn_at").asc(), F("id").asc()])
    rows = list(queued.annotate(place=turn).values_list("pk", "model_id", "place", "decision__waits"))
    all_of = {model: sum(1 for _, one, *_ in rows if one == model) for model in models}
    loads = _loads(models)
    wanted = set(ids)
    return {
        pk: f"place {at} of {all_of[model]}: {loads.get(model) or (why or 'waits for a plan')[:LONGEST]}"
        for pk, model, at, why in rows
        if pk in wanted
    }


def _loads(models: Collection[int]) -> dict[int, str]:
    """By model: how far its load is; of several the one that is farthest."""
    learned = Offer.objects.filter(server=OuterRef("server"), model=OuterRef("model")).values("load_seconds")[:1]
    rows = Placement.objects.filter(state=PlacementState.LOADING, model__in=models).annotate(learned=Subquery(learned))
    found: dict[int, tuple[float, str]] = {}
    for row in rows.select_related("server", "model"):
        done = progress((clock.now() - row.created_at).total_seconds(), expected_s(row.gb, row.learned))
        text = f"{row.model} loads on {row.server}, about {done:.0%}"
        found[row.model_id] = max(found.get(row.model_id, (-1.0, "")), (done, text))
    return {model: text for model, (_, text) in found.items()}
