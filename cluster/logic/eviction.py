"""Which idle models make room for another one on a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import PlacementView, PlanPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction:
    """The victims that free enough, or none; `until` is when one more could become evictable; `cost_gb` is what goes."""

    victims: tuple[PlacementView, ...] | None
    cost_gb: float = 0.0
    until: datetime | None = None


def evictable_at(placement: PlacementView, policy: PlanPolicy) -> datetime:
    """From when an idle placement may go for another model."""
    return placement.since + timedelta(seconds=policy.min_residency_s)


def choose(
    held: Sequence[PlacementView], need_gb: float, policy: PlanPolicy, now: datetime, wanted: frozenset[int], instances: int = 0
) -> Eviction:
    """The least recently used idle placements of one server that free `need_gb` and at least `instances` of them.

    Never busy or pinned ones, never one within its minimum residency, and never a model that somebody waits for (`wanted`): that
    would only swap one wait for another. Those unused past the unload delay go first.
    """
    idle = [p for p in held if p.state is PlacementState.LOADED and p.in_flight == 0 and not p.pinned and p.model_id not in wanted]
    ripe = [p for p in idle if evictable_at(p, policy) <= now]
    order = sorted(ripe, key=lambda p: (p.used_at or p.since, p.id))
    chosen: list[PlacementView] = []
    freed = 0.0
    for placement in order:
        if freed >= need_gb and len(chosen) >= instances:
            break
        chosen.append(placement)
        freed += placement.gb
    if freed < need_gb or len(chosen) < instances:
        green = [evictable_at(p, policy) for p in idle if p not in ripe]
        return Eviction(victims=None, until=min(green, default=None))
    for placement in sorted(chosen, key=lambda p: -p.gb):  # a later, larger victim may make an earlier one needless
        if freed - placement.gb >= need_gb and len(chosen) > max(1, instances):
            chosen.remove(placement)
            freed -= placement.gb
    return Eviction(victims=tuple(chosen), cost_gb=freed)
