"""How often each model is asked for, and how busy the disks are: counted from rows, under the planner's lock, about once a second."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, F, Q

from cluster.logic.learning import DISK_WINDOW_S, busy, decayed, spaced
from cluster.logic.lifecycle import ServerState
from cluster.models import ClusterPolicy, Generation, LanguageModel, Placement, Server

EVERY_S: Final = 1.0
JUMP_S: Final = 60.0
"""Engines' clocks may differ; a last count that lies further ahead was made by a clock that was wrong, and is begun anew."""

NOTHING: Final = 1e-7
"""Requests a second that count as none."""


def count(policy: ClusterPolicy, now: datetime) -> bool:
    """Bring the rates of all models and the policy's `disk_busy` up to date, if they are older than a second.

    Returns whether they were. A request whose transaction commits after the count that covers its time is missed; an estimate can bear that.
    """
    since = policy.rates_at
    if since is not None and -JUMP_S < (now - since).total_seconds() < EVERY_S:
        return False
    if since is None or since > now or policy.rates_since is None:
        policy.rates_since = policy.rates_since or now
        since = now - timedelta(seconds=EVERY_S)
    fresh = Generation.objects.filter(queued_at__gt=since, queued_at__lte=now, cached=False, leader__isnull=True)
    arrived = list(fresh.order_by().values_list("model_id").annotate(n=Count("pk")))
    gone, dt = LanguageModel.objects.filter(rate__gt=0), (now - since).total_seconds()
    gone.filter(rate__lte=NOTHING).update(rate=0.0)
    gone.update(rate=F("rate") * decayed(1.0, dt))
    for model_id, n in arrived:
        LanguageModel.objects.filter(pk=model_id).update(rate=F("rate") + spaced(n, dt))
    policy.rates_at = now
    policy.disk_busy = _busy(now)
    policy.save(update_fields=["rates_at", "rates_since", "disk_busy"])
    return True


def _busy(now: datetime) -> float:
    """The part of the last minutes that the servers spent loading what somebody had asked for."""
    begin = now - timedelta(seconds=DISK_WINDOW_S)
    ours = Placement.objects.filter(adopted=False, preloaded=False, created_at__lte=now).filter(
        Q(loaded_at__gt=begin) | Q(ended_at__gt=begin) | Q(state="loading")
    )
    seconds = 0.0
    for created, loaded, ended in ours.values_list("created_at", "loaded_at", "ended_at"):
        seconds += max(0.0, (min(loaded or ended or now, now) - max(created, begin)).total_seconds())
    return busy(seconds, Server.objects.filter(enabled=True, state=ServerState.ONLINE).count())
