"""The versions of an entity: what changed when, by whom and why, and the way back to one of them.

A version holds every column and the rate limits of its moment. Going back restores all of them except the id by which others know the
entity and whether it is on: going back never switches an entity on or off.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from django.db import IntegrityError, transaction

from entities import bounds, chronicle, objections
from entities.errors import NoVersion, Unsound
from entities.logic.difference import Difference, differences
from entities.models import Entity, RateLimit
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake

UNTOLD: Final = frozenset({"id", "enabled_at"})
"""Columns that are nobody's decision."""

STAYS: Final = frozenset({*UNTOLD, "slug", "enabled", "disabled_reason"})
"""Columns that going back leaves as they are."""

LIMITS: Final = "limits"
KINDS: Final = {"+": "made", "~": "changed", "-": "deleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version. `number` names it, `what` is made, changed or deleted, `fields` those that changed with it."""

    number: int
    at: datetime
    who: str
    why: str
    what: str
    fields: tuple[str, ...]


def versions(entity_id: int, most: int = 100) -> tuple[Version, ...]:
    """The newest versions of an entity, newest first."""
    rows = list(_history().filter(id=entity_id).select_related("history_user").order_by("-history_id")[: most + 1])
    told = [(row, _columns(row)) for row in rows]
    pairs = [*pairwise(told), (told[-1], (None, {}))] if told else []
    return tuple(
        Version(
            number=row.history_id,
            at=row.history_date,
            who=row.history_user.get_username() if row.history_user else "",
            why=row.history_change_reason or "",
            what=KINDS[row.history_type],
            fields=tuple(differences(before, columns)) if older is not None else (),
        )
        for (row, columns), (older, before) in pairs[:most]
    )


def diff(entity_id: int, a: int, b: int | None = None) -> dict[str, Difference]:
    """What changed from version `a` to version `b`, or to what the entity is now. Raises NoVersion."""
    before = _columns(_version(entity_id, a))
    if b is not None:
        return differences(before, _columns(_version(entity_id, b)))
    row = Entity.objects.filter(pk=entity_id).first()
    if row is None:
        raise NoVersion(f"there is no entity with the primary key {entity_id}")
    return differences(before, _columns(row))


def before(entity_id: int, number: int) -> int | None:
    """The version before one, None before the first."""
    older = _history().filter(id=entity_id, history_id__lt=number).order_by("-history_id")
    found: int | None = older.values_list("history_id", flat=True).first()
    return found


def way_back(entity_id: int, version: int) -> dict[str, Difference]:
    """What going back to a version would change of the entity as it is now. Raises NoVersion."""
    row = Entity.objects.filter(pk=entity_id).first()
    if row is None:
        raise NoVersion(f"there is no entity with the primary key {entity_id}")
    return _way(row, _version(entity_id, version))


@transaction.atomic
def rollback(entity_id: int, version: int, who: str) -> tuple[str, ...]:
    """Restore what a version holds, as a new version. Returns what changed; nothing, and no new version, if it is so already.

    Raises NoVersion; Unsound if its values are not allowed any more; Refused if a plugin objects.
    """
    row = Entity.objects.select_for_update(no_key=True).filter(pk=entity_id).first()
    if row is None:
        raise NoVersion(f"there is no entity with the primary key {entity_id}")
    past = _version(entity_id, version)
    limits = _limits(past)
    fields = tuple(_way(row, past))
    if not fields:
        return ()
    columns = [name for name in fields if name != LIMITS]
    for name in columns:
        setattr(row, name, getattr(past, name))
    objections.heed(row)
    try:
        with transaction.atomic():
            chronicle.quietly(row, columns)
    except IntegrityError as exc:
        raise Unsound(f"version {version} of {row.slug} cannot be restored as it was: {str(exc).splitlines()[0]}") from exc
    if limits is not None:
        bounds.bring(row, RateLimit.objects.filter(entity=row), limits)
    chronicle.keep([row], who, f"back to version {version}")
    text = f"{row.username} ({row.slug}) went back to version {version} of {past.history_date:%Y-%m-%d %H:%M}: {', '.join(fields)}"
    say("entity.rolledback", text, subject=f"entity:{row.slug}", version=version, who=who, fields=list(fields))
    wake(Channel.SETTINGS, Channel.LISTEN)
    return fields


def _way(row: Entity, past: Any) -> dict[str, Difference]:
    told = differences(_columns(row), _columns(past, _limits(past)))
    return {name: difference for name, difference in told.items() if name not in STAYS}


def _limits(past: Any) -> list[dict[str, Any]] | None:
    """The limits of a version, without those of feeds that are gone; None where it knows none."""
    if past.limits is None:
        return None
    feeds = bounds.feeds()
    return [limit for limit in past.limits if limit["feed"] is None or limit["feed"] in feeds]


def _history() -> Any:
    model: Any = Entity.history.model
    return model.objects


def _version(entity_id: int, number: int) -> Any:
    row = _history().filter(id=entity_id, history_id=number).first()
    if row is None:
        raise NoVersion(f"the entity with the primary key {entity_id} has no version {number}")
    return row


def _columns(row: Any, limits: Any = None) -> dict[str, Any]:
    """What a version or the entity itself holds, by field; its limits are those given, else its own, and absent where it knows none."""
    columns = {field.attname: getattr(row, field.attname) for field in Entity._meta.concrete_fields if field.attname not in UNTOLD}
    if isinstance(row, Entity):
        limits = [limit.document() for limit in RateLimit.objects.filter(entity=row).order_by("kind", "every", "feed")]
    elif limits is None:
        limits = row.limits
    return columns if limits is None else {**columns, LIMITS: limits}
