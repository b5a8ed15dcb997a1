"""Write a limit of one entity, or of all together; an entity's limits belong to its versions.

What no limit may be raises Django's ValidationError by field, such as a second one of the same kind and span.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from entities import chronicle
from entities.models import Entity, RateLimit
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake


@transaction.atomic
def add(values: Mapping[str, Any], who: str) -> int:
    """A new limit; returns its key. Raises ValidationError."""
    row = RateLimit(**values)
    _lock({row.entity_id})
    row.full_clean()
    row.save()
    _told({row.entity_id}, f"{who} added a limit: {row}", who)
    return row.pk


@transaction.atomic
def change(limit_id: int, values: Mapping[str, Any], who: str) -> bool:
    """Change a limit; returns whether anything was different. Raises RateLimit.DoesNotExist, ValidationError."""
    row = RateLimit.objects.select_for_update(no_key=True, of=("self",)).get(pk=limit_id)
    owners = {row.entity_id}
    before = row.document() | {"entity": row.entity_id}
    for name, value in values.items():
        setattr(row, name, value)
    if row.document() | {"entity": row.entity_id} == before:
        return False
    owners.add(row.entity_id)
    row.full_clean()
    row.save()
    _told(owners, f"{who} changed a limit: {row}", who)
    return True


@transaction.atomic
def remove(limit_id: int, who: str) -> bool:
    """Take a limit away; returns whether it was there."""
    row = RateLimit.objects.select_related("entity", "feed").select_for_update(of=("self",)).filter(pk=limit_id).first()
    if row is None:
        return False
    text, owner = str(row), row.entity_id
    row.delete()
    _told({owner}, f"{who} took a limit away: {text}", who)
    return True


def _lock(owners: set[int | None]) -> list[Entity]:
    return list(Entity.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=[pk for pk in owners if pk]).order_by("pk"))


def _told(owners: set[int | None], text: str, who: str) -> None:
    rows = _lock(owners)
    chronicle.keep(rows, who, text)
    say("limits.changed", text, subject=f"entity:{rows[0].slug}" if rows else "", who=who)
    wake(Channel.SETTINGS, Channel.LISTEN)
