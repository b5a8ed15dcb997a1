"""Write a persona: make one, change some of it, remove it. Each is one version, told, and obeyed by running engines at once.

What no entity may hold raises Django's ValidationError by field; an id that belongs to another one is Taken; plugins may refuse.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from entities import chronicle, objections
from entities.errors import Taken
from entities.logic.turns import TURNS, sound
from entities.models import Entity
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.wake import Channel, wake

WRITTEN: Final = tuple(
    field.name for field in Entity._meta.concrete_fields if field.editable and field.name not in ("id", "enabled", "disabled_reason")
)
"""The columns that people write; `enabled` is switched."""


@transaction.atomic
def make(values: Mapping[str, Any], who: str) -> int:
    """A new entity; returns its key. It is on unless `enabled` says otherwise. Raises ValidationError, Taken, Refused."""
    row = Entity(**values)
    _sound(row, WRITTEN)
    objections.heed(row)
    _kept(row, None)
    chronicle.keep([row], who, f"made by {who}", new=[row.pk])
    say("entity.made", f"{who} made {row.username} ({row.slug})", subject=f"entity:{row.slug}", who=who)
    wake(Channel.SETTINGS, Channel.LISTEN)
    return row.pk


@transaction.atomic
def change(entity_id: int, values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change columns of an entity; returns those that were different. Raises Entity.DoesNotExist, ValidationError, Taken, Refused."""
    row = Entity.objects.select_for_update(no_key=True, of=("self",)).get(pk=entity_id)
    changed = tuple(name for name, value in values.items() if getattr(row, name) != value)
    if not changed:
        return ()
    for name in changed:
        setattr(row, name, values[name])
    _sound(row, changed)
    objections.heed(row)
    _kept(row, changed)
    chronicle.keep([row], who, f"changed by {who}: {', '.join(changed)}")
    text = f"{who} changed {', '.join(changed)} of {row.username} ({row.slug})"
    say("entity.changed", text, subject=f"entity:{row.slug}", who=who, fields=list(changed))
    wake(Channel.SETTINGS, Channel.LISTEN)
    return changed


@transaction.atomic
def remove(entity_id: int, who: str) -> bool:
    """Remove an entity with its answers, permits and limits; its versions stay. Returns whether it was there."""
    row = Entity.objects.select_for_update(of=("self",)).filter(pk=entity_id).first()
    if row is None:
        return False
    slug, username = row.slug, row.username
    row.delete()
    say("entity.removed", f"{who} removed {username} ({slug})", subject=f"entity:{slug}", level=Level.WARNING, who=who)
    wake(Channel.SETTINGS, Channel.LISTEN)
    return True


def _sound(row: Entity, columns: tuple[str, ...]) -> None:
    row.full_clean(exclude=[field.name for field in Entity._meta.concrete_fields if field.name not in columns], validate_unique=False)
    if not all(sound(turn) for turn in row.warmup):
        raise ValidationError({"warmup": f"Write {TURNS}."})


def _kept(row: Entity, columns: tuple[str, ...] | None) -> None:
    try:
        with transaction.atomic():
            chronicle.quietly(row, columns)
    except IntegrityError as exc:
        raise Taken(f"the id {row.slug} belongs to another entity; choose a new one") from exc
