"""Keep the right models in memory: note what is to stay, count what is usual at this time of the day, tell what came of guesses.

What is loaded, and where, is the planner's decision; this writes the rows that it rests on.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Case, Count, IntegerField, Q, Sum, Value, When

from cluster.logic.lifecycle import PlacementState
from cluster.logic.preload import usual
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.events import say
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel, wake

DAYS: Final = 7
"""So many days tell what is usual."""

WINDOW: Final = timedelta(hours=1)
"""What belongs to one time of the day: half of it before, half after."""

COUNT_EVERY: Final = timedelta(minutes=5)
"""How often one of the engines counts what is usual; the time of the day moves no faster."""

IDLE_S: Final = 60.0


class NotOffered(BotError):
    """A server does not have a model on its disk."""

    code = "not-offered"
    fault = Fault.OPERATOR


def keep(pairs: Collection[int], *, on: bool) -> int:
    """Have the models of these offers kept loaded on their servers, or not. Returns for how many that is a change."""
    with transaction.atomic():
        rows = Offer.objects.select_for_update(no_key=True, of=("self",)).select_related("server", "model")
        changed = list(rows.filter(pk__in=pairs, pinned=not on).order_by("pk"))
        Offer.objects.filter(pk__in=[row.pk for row in changed]).update(pinned=on)
        for row in changed:
            text = f"{row.model} is to stay loaded on {row.server}" if on else f"{row.model} may leave {row.server} again"
            say("model.kept" if on else "model.released", text, subject=f"server:{row.server}")
        if changed:
            wake(Channel.PLAN, Channel.SERVE)
        return len(changed)


def offer(model: LanguageModel, server: str) -> Offer:
    """That a server (by its name) has a model on its disk. Raises NotOffered with where it is."""
    row = Offer.objects.filter(model=model, server__name=server).first()
    if row is None:
        there = ", ".join(model.offers.order_by("server__name").values_list("server__name", flat=True)) or "no server"
        raise NotOffered(f"No server {server!r} has {model} on its disk. It is on: {there}.")
    return row


def recount(now: datetime) -> bool:
    """Count what is usual at this time of the day, if nobody has just done so. Returns whether it was counted."""
    due = Q(usual_at__isnull=True) | Q(usual_at__lte=now - COUNT_EVERY)
    if not ClusterPolicy.objects.filter(due, preload=True).update(usual_at=now):
        return False
    rates = _usual(now)
    heirs = {old.pk: old.heir().pk for old in LanguageModel.objects.filter(replaced_at__isnull=False).select_related("successor")}
    fresh: defaultdict[int, float] = defaultdict(float)
    for model_id, rate in rates.items():
        fresh[heirs.get(model_id, model_id)] += rate
    changed = [pk for pk, old in LanguageModel.objects.order_by("pk").values_list("pk", "usual") if fresh[pk] != old]
    for pk in changed:
        LanguageModel.objects.filter(pk=pk).update(usual=fresh[pk])
    if changed:
        wake(Channel.PLAN, Channel.SERVE)
    return True


def _usual(now: datetime) -> Mapping[int, float]:
    """Requests a second of each model around this time of the day; what no model had to answer does not count."""
    oldest = Generation.objects.order_by("queued_at").values_list("queued_at", flat=True).first()
    middles = [now - timedelta(days=day) for day in range(1, DAYS + 1)]
    days = [(moment - WINDOW / 2, moment + WINDOW / 2) for moment in middles if oldest and moment + WINDOW / 2 > oldest]
    if not days:
        return {}
    within = Q()
    for begin, end in days:
        within |= Q(queued_at__gte=begin, queued_at__lt=end)
    which = Case(*(When(queued_at__gte=begin, then=Value(day)) for day, (begin, _) in enumerate(days)), output_field=IntegerField())
    rows = Generation.objects.filter(within, cached=False, leader__isnull=True).order_by().annotate(day=which)
    counts: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * len(days))
    for model_id, day, n in rows.values_list("model_id", "day").annotate(n=Count("pk")):
        counts[model_id][day] = float(n)
    return {model_id: usual(each, WINDOW.total_seconds()) for model_id, each in counts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What came of the models that were loaded before anybody asked. `hit_rate`, 0 … 1, is of those of which it is known; None: of none."""

    preloads: int
    hits: int
    """Asked for after all."""
    misses: int
    """Left without having answered."""
    open: int
    """Loading, or loaded and not asked for yet."""
    loaded_gb: float
    wasted_gb: float
    """Loaded for nothing."""
    hit_rate: float | None


def report(since: datetime) -> Warmth:
    """The preloads that were begun since then; loads that failed are none."""
    rows = Placement.objects.filter(preloaded=True, created_at__gte=since).exclude(state=PlacementState.FAILED)
    hit, missed = Q(served=True), Q(served=False, ended_at__isnull=False)
    counts = {"n": Count("pk"), "hits": Count("pk", filter=hit), "misses": Count("pk", filter=missed)}
    found = rows.aggregate(**counts, loaded=Sum("gb"), wasted=Sum("gb", filter=missed))
    known = found["hits"] + found["misses"]
    return Warmth(
        preloads=found["n"],
        hits=found["hits"],
        misses=found["misses"],
        open=found["n"] - known,
        loaded_gb=found["loaded"] or 0.0,
        wasted_gb=found["wasted"] or 0.0,
        hit_rate=found["hits"] / known if known else None,
    )


async def turn(context: Context) -> float:
    """Count, if it is time."""
    await context.rows(recount, clock.now())
    return IDLE_S


def loop() -> Loop:
    """Warmth's loop of a new engine. It sleeps nearly always."""
    return Loop(name="warm", channel=Channel.SETTINGS, turn=turn)
