"""What of the cluster's past goes when it is old: requests, what was heavy in them, models that left memory, names of models that
nobody has, calls for servers.

A request stays while anything refers to it: an answer, a voice, a seat, or an equal request that was answered with it; and a placement
while a request that ran on it is kept. Whoever deletes those deletes the way for these.
"""

from collections.abc import Callable, Collection, Sequence

from django.db.models import Exists, F, Func, JSONField, OuterRef, Q

from cluster.logic.lifecycle import ENDED, HELD, GenerationState
from cluster.models import ClusterPolicy, Generation, LanguageModel, Notice, Placement
from swwbot_site.lib.pruning import Chosen, Cut, erase, referred, some, walk


def requests(cut: Cut) -> Chosen:
    """Requests that ended long ago and that nothing refers to."""
    rows = Generation.objects.filter(state__in=ENDED, ended_at__lt=cut.before).exclude(referred(Generation))
    return walk(Generation.objects.all(), "queued_at", cut).of(rows)


def forget(ids: Sequence[int]) -> dict[str, int]:
    """Delete requests."""
    return {"requests": erase(Generation, ids)}


def heavy(cut: Cut, needed: Callable[[Sequence[int]], Collection[int]]) -> Chosen:
    """Requests that ended long ago and have still what makes them heavy; `needed` says of some whose words somebody waits for."""
    walked = walk(Generation.objects.all(), "queued_at", cut)
    followed = Generation.objects.filter(leader=OuterRef("pk"), state=GenerationState.QUEUED)
    rows = Generation.objects.filter(state__in=ENDED, ended_at__lt=cut.before).exclude(Q(request={}) | Exists(followed))
    return walked.of(rows.exclude(pk__in=needed(walked.ids)) if walked.ids else rows)


def lighten(ids: Sequence[int]) -> dict[str, int]:
    """Take out what was asked, written and thought, and the servers that came into question; a request without a request is such a one."""
    rest = Func(F("decision"), template="(%(expressions)s - 'candidates'::text)", output_field=JSONField())
    rows = Generation.objects.filter(pk__in=ids)
    return {"prompts and texts": rows.update(request={}, text="", reasoning="", decision=rest)}


def placements(cut: Cut) -> Chosen:
    """Models that left memory long ago and that no kept request ran on."""
    rows = Placement.objects.exclude(state__in=HELD).filter(ended_at__lt=cut.before).exclude(referred(Placement))
    return walk(Placement.objects.all(), "created_at", cut).of(rows)


def vacate(ids: Sequence[int]) -> dict[str, int]:
    """Delete placements."""
    return {"placements": erase(Placement, ids)}


def models(cut: Cut, named: Callable[[], Collection[str]]) -> Chosen:
    """Names that were noted and that no server has: nothing is known of them, nothing refers to them; `named` are those still in use."""
    said = ~Q(aliases=[]) | Q(successor__isnull=False) | Q(context_length__isnull=False) | Q(cache_ttl_s__isnull=False)
    used = {name.strip().lower() for name in (*named(), ClusterPolicy.current().default_model)}
    noted = LanguageModel.objects.filter(size_source=LanguageModel.SizeSource.GUESS)
    rows = noted.exclude(said | Q(expected_at__gte=cut.before) | Q(key__in=used) | referred(LanguageModel))
    return some(rows, cut)


def unname(ids: Sequence[int]) -> dict[str, int]:
    """Delete models."""
    return {"models": erase(LanguageModel, ids)}


def notices(cut: Cut) -> Chosen:
    """Calls for servers that were closed long ago."""
    return some(Notice.objects.filter(closed_at__lt=cut.before, due_at__isnull=True), cut)


def silence(ids: Sequence[int]) -> dict[str, int]:
    """Delete calls for servers."""
    return {"calls for servers": erase(Notice, ids)}
