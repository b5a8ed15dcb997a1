"""Permits that no limit counts any more go. An entity's versions stay: people made them, and go back to them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from entities.logic.lifecycle import PermitState
from entities.logic.quota import Rule
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib.pruning import Chosen, Cut, erase, referred, walk

SPARE: Final = timedelta(days=1)
"""How far the clocks of engines may be apart, and more."""

FAR: Final = timedelta(days=365 * 1000)
"""As good as for ever."""


def permits(cut: Cut, now: datetime) -> Chosen:
    """Permits that were settled long ago, before every window of every limit, and whose answers are not kept."""
    spans = [
        Rule(kind=kind, amount=amount, every=every).span
        for kind, amount, every in RateLimit.objects.order_by().values_list("kind", "amount", "every").distinct()
    ]
    counted = now - min(max(spans, default=timedelta()) + SPARE, FAR)
    cut = replace(cut, before=min(cut.before, counted))
    rows = Permit.objects.exclude(state=PermitState.RESERVED).filter(settled_at__lt=cut.before).exclude(referred(Permit))
    return walk(Permit.objects.all(), "reserved_at", cut).of(rows)


def erased(ids: Sequence[int]) -> dict[str, int]:
    """Delete permits."""
    return {"permits": erase(Permit, ids)}


def models() -> set[str]:
    """The models that entities ask for, switched off or not."""
    return set(Entity.objects.values_list("model", flat=True))
