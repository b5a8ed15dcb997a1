"""The door of the personas' rows for configuration: entities with their limits, read as columns and brought to wanted values.

A limit is a column `limits.<kind>` (gap, minute, hour, day) whose value is its amount; None or 0 is no limit. Run inside one
transaction of the caller.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from entities.models import Entity, RateLimit
from swwbot_site.lib.changes import Action, Change, Wanted, brought, made, target

ENTITY: Final = "entity"
LIMIT: Final = "limit"
PREFIX: Final = "limits."

PROMPTLESS: Final = "It has no system prompt yet: write one, then enable it."
"""Why an entity whose configuration says nothing about a system prompt is not enabled."""


def entities() -> list[dict[str, Any]]:
    """Every entity, column → value, limits included, by id."""
    limits: dict[int, dict[str, Any]] = {}
    for each in RateLimit.objects.filter(entity__isnull=False):
        limits.setdefault(each.entity_id or 0, {})[PREFIX + each.kind] = each.amount
    return [{**_none(), **row, **limits.get(row["id"], {})} for row in Entity.objects.order_by("slug").values()]


def limits() -> dict[str, Any]:
    """The limits of all entities together."""
    return {**_none(), **{PREFIX + each.kind: each.amount for each in RateLimit.objects.filter(entity__isnull=True)}}


def _none() -> dict[str, Any]:
    return {PREFIX + kind: None for kind in RateLimit.Kind.values}


def put_entities(wanted: Sequence[Wanted], source: str) -> list[Change]:
    """Make or change entities, found by id. `source` names the configuration, for the versions and for the reasons kept."""
    names = [each.name for each in wanted]
    rows = {row.slug: row for row in Entity.objects.select_for_update(no_key=True).filter(slug__in=names).order_by("pk")}
    held: dict[int, dict[str, RateLimit]] = {}
    for limit in RateLimit.objects.filter(entity__in=[row.pk for row in rows.values()]):
        held.setdefault(limit.entity_id or 0, {})[limit.kind] = limit
    changes = [_put(each, rows.get(each.name), held, source) for each in wanted]
    return [change for change in changes if change is not None]


def _put(wanted: Wanted, found: Entity | None, held: Mapping[int, Mapping[str, RateLimit]], source: str) -> Change | None:
    values = target(Entity, wanted, new=found is None)
    amounts = {column.removeprefix(PREFIX): values.pop(column) for column in [*values] if column.startswith(PREFIX)}
    row = found or Entity(slug=wanted.name)
    values |= _switched(row, values, wanted, source, new=found is None)
    _explain(row, source)
    change = made(ENTITY, row, wanted.name, {"slug": wanted.name, **values}) if found is None else brought(ENTITY, row, wanted.name, values)
    fields = _limited(row, amounts, {} if found is None else held.get(row.pk, {}))
    if change is None and not fields:
        return None
    return Change(
        kind=ENTITY,
        name=wanted.name,
        action=Action.CHANGED if change is None else change.action,
        fields={**(change.fields if change else {}), **fields},
    )


def _explain(row: Any, source: str) -> None:
    """Tell the history of the next save where it comes from."""
    row._change_reason = f"imported from {source}"[:100]


def _switched(row: Entity, values: Mapping[str, Any], wanted: Wanted, source: str, *, new: bool) -> dict[str, Any]:
    """Whether the entity is enabled in the end, and the reason if not."""
    enabled = values.get("enabled", row.enabled)
    reason = values.get("disabled_reason", row.disabled_reason)
    prompt = values.get("system_prompt", row.system_prompt)
    first = new or "system_prompt" in wanted.back
    if not prompt and "system_prompt" not in wanted.said and ((first and enabled) or reason == PROMPTLESS):
        return {"enabled": False, "disabled_reason": PROMPTLESS}
    if prompt and reason == PROMPTLESS and wanted.said.get("enabled", True):
        return {"enabled": True, "disabled_reason": ""}
    if enabled == row.enabled or "disabled_reason" in wanted.said:
        return {}
    return {"disabled_reason": "" if enabled else f"disabled in {source}"}


def _limited(entity: Entity | None, amounts: Mapping[str, int | None], held: Mapping[str, RateLimit]) -> dict[str, tuple[Any, Any]]:
    """Bring the limits of one entity (None: of all together) to `amounts`. Returns what changed."""
    fields: dict[str, tuple[Any, Any]] = {}
    for kind, amount in amounts.items():
        limit = held.get(kind)
        before, after = limit.amount if limit else None, amount or None
        if before == after:
            continue
        if after is None:
            held[kind].delete()
        elif limit is None:
            RateLimit.objects.create(entity=entity, kind=kind, amount=after)
        else:
            limit.amount = after
            limit.save(update_fields=["amount"])
        fields[PREFIX + kind] = (before, after)
    return fields


def put_limits(wanted: Wanted) -> list[Change]:
    """Change the limits of all entities together."""
    amounts = {column.removeprefix(PREFIX): value for column, value in target(RateLimit, wanted, new=False).items()}
    held = {limit.kind: limit for limit in RateLimit.objects.select_for_update(no_key=True, of=("self",)).filter(entity__isnull=True)}
    fields = _limited(None, amounts, held)
    return [Change(kind=LIMIT, name="of all entities together", action=Action.CHANGED, fields=fields)] if fields else []


def retire_entities(names: Collection[str], source: str) -> list[Change]:
    """Disable entities that a configuration names no longer."""
    changes: list[Change] = []
    for row in Entity.objects.select_for_update(no_key=True).filter(slug__in=names, enabled=True).order_by("pk"):
        row.enabled, row.disabled_reason = False, f"{source} names it no longer"
        _explain(row, source)
        row.save(update_fields=["enabled", "disabled_reason"])
        changes.append(Change(kind=ENTITY, name=row.slug, action=Action.DISABLED, fields={"enabled": (True, False)}))
    return changes
