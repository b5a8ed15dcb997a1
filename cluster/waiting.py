"""What waits, for people: part of `cluster.read`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count, Min

from cluster.models import Generation

BANDS: Final[tuple[tuple[str, int], ...]] = (("critical", 10), ("high", 30), ("medium", 60), ("low", 90), ("background", 99))
"""Names of priorities, each up to and with its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for one model: how many by band of priority, the first priority, the longest wait.

    `why` is what was last told to whoever's turn is first; empty where nobody was told yet.
    """

    model: str
    count: int
    first: int
    since: datetime
    bands: Mapping[str, int]
    why: str = ""


def queue() -> tuple[Waiting, ...]:
    """What waits, per model; the most urgent model first."""
    rows = (
        Generation.objects.filter(state="queued")
        .values_list("model__key", "priority")
        .annotate(n=Count("pk"), since=Min("queued_at"))
        .order_by()
    )
    why = _why()
    models: defaultdict[str, list[tuple[int, int, datetime]]] = defaultdict(list)
    for key, priority, count, since in rows:
        models[key].append((priority, count, since))
    found = (
        Waiting(
            model=key,
            count=sum(count for _, count, _ in parts),
            first=min(priority for priority, _, _ in parts),
            since=min(since for _, _, since in parts),
            bands=_bands(parts),
            why=why.get(key, ""),
        )
        for key, parts in models.items()
    )
    return tuple(sorted(found, key=lambda one: (one.first, one.since)))


def _why() -> dict[str, str]:
    """By model: why the request whose turn is first still waits."""
    rows = Generation.objects.filter(state="queued", leader__isnull=True).order_by("model_id", "turn_at", "id").distinct("model_id")
    return {key: why for key, why in rows.values_list("model__key", "decision__waits") if why}


def _bands(parts: Iterable[tuple[int, int, datetime]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for priority, count, _ in parts:
        counts[next(name for name, last in BANDS if priority <= last)] += count
    return {name: counts[name] for name, _ in BANDS if counts[name]}
