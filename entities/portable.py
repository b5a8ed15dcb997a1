"""The door of the personas' rows for configuration: entities with their limits, read as columns and brought to wanted values.

A limit is a column `limits.<kind>` (gap, minute, hour, day) whose value is its amount in any one of these, in all feeds together; None or
0 is no limit. All others stand in the column `limits.rules`, each with kind, amount, every and the feed's name or None. Run inside one
transaction of the caller.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from entities import bounds, chronicle
from entities.errors import NoFeed, Objections, Refused
from entities.models import Entity, RateLimit
from entities.objections import heed
from swwbot_site.lib import clock
from swwbot_site.lib.changes import Action, Change, Wanted, differing, target

ENTITY: Final = "entity"
LIMIT: Final = "limit"
PREFIX: Final = "limits."
RULES: Final = "limits.rules"

PROMPTLESS: Final = "It has no system prompt yet: write one, then enable it."
"""Why an entity whose configuration says nothing about a system prompt is not enabled."""


def entities() -> list[dict[str, Any]]:
    """Every entity, column → value, limits included, by id."""
    held: dict[int, list[RateLimit]] = {}
    for each in RateLimit.objects.filter(entity__isnull=False):
        held.setdefault(each.entity_id or 0, []).append(each)
    feeds = bounds.feeds()
    return [{**row, **_shown(held.get(row["id"], ()), feeds)} for row in Entity.objects.order_by("slug").values()]


def limits() -> dict[str, Any]:
    """The limits of all entities together."""
    return _shown(RateLimit.objects.filter(entity__isnull=True), bounds.feeds())


def _plain(limit: RateLimit) -> bool:
    """Whether a limit has a column of its own."""
    return limit.every == 1 and limit.feed_id is None


def _shown(held: Iterable[RateLimit], feeds: Mapping[int, str]) -> dict[str, Any]:
    """Limits as columns."""
    columns: dict[str, Any] = {PREFIX + kind: None for kind in RateLimit.Kind.values}
    rules = []
    for each in held:
        if _plain(each):
            columns[PREFIX + each.kind] = each.amount
        else:
            rules.append({"kind": each.kind, "amount": each.amount, "every": each.every, "feed": feeds.get(each.feed_id or 0)})
    return {**columns, RULES: _ordered(rules)}


def _ordered(rules: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rules as they are always shown."""
    order = RateLimit.Kind.values
    return sorted(rules, key=lambda rule: (order.index(rule["kind"]), rule["every"], rule["feed"] or ""))


def put_entities(wanted: Sequence[Wanted], source: str) -> list[Change]:
    """Make or change entities, found by id, each with one version. `source` names the configuration, for versions and reasons.

    Raises Objections with what plugins have against all of them, and NoFeed.
    """
    names = [each.name for each in wanted]
    rows = {row.slug: row for row in Entity.objects.select_for_update(no_key=True).filter(slug__in=names).order_by("pk")}
    held: dict[int, list[RateLimit]] = {}
    for limit in RateLimit.objects.filter(entity__in=[row.pk for row in rows.values()]):
        held.setdefault(limit.entity_id or 0, []).append(limit)
    feeds = bounds.feeds()
    changes: list[Change] = []
    touched: list[Entity] = []
    refused: dict[str, Sequence[str]] = {}
    for each in wanted:
        row = rows.get(each.name) or Entity(slug=each.name)
        try:
            change = _put(each, row, held.get(row.pk, []), source, feeds)
        except Refused as exc:
            refused[each.name] = exc.problems
            continue
        if change is not None:
            changes.append(change)
            touched.append(row)
    if refused:
        raise Objections(refused)
    made = [row.pk for row, change in zip(touched, changes, strict=True) if change.action is Action.ADDED]
    chronicle.keep(touched, "", f"imported from {source}", new=made)
    return changes


def _put(wanted: Wanted, row: Entity, held: Sequence[RateLimit], source: str, feeds: Mapping[int, str]) -> Change | None:
    new = row.pk is None
    values = target(Entity, wanted, new=new)
    bounded = {column: values.pop(column) for column in [*values] if column.startswith(PREFIX)}
    values |= _switched(row, values, wanted, source, new=new)
    told = {column: (None, value) for column, value in {"slug": row.slug, **values}.items()} if new else differing(row, values)
    if told:
        if values.get("enabled", row.enabled) and not row.enabled:
            row.enabled_at = clock.now()
        for column, (_, after) in told.items():
            setattr(row, column, after)
        heed(row)
        chronicle.quietly(row, None if new else {*told, "enabled_at"})
    fields = {**told, **_limited(row, bounded, held, wanted.name, feeds)}
    if not fields:
        return None
    return Change(kind=ENTITY, name=wanted.name, action=Action.ADDED if new else Action.CHANGED, fields=fields)


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


def _limited(
    entity: Entity | None, said: Mapping[str, Any], held: Sequence[RateLimit], name: str, feeds: Mapping[int, str]
) -> dict[str, tuple[Any, Any]]:
    """Bring the limits of one entity (None: of all together) to the columns that are said. Returns what changed."""
    before = _shown(held, feeds)
    after = before | {column: _ordered(value or ()) if column == RULES else value or None for column, value in said.items()}
    changed = {column: (before[column], value) for column, value in after.items() if before[column] != value}
    if not changed:
        return {}
    keys = {feed: key for key, feed in feeds.items()}
    wanted = [
        {"kind": kind, "amount": after[PREFIX + kind], "every": 1, "feed": None} for kind in RateLimit.Kind.values if after[PREFIX + kind]
    ]
    for rule in after[RULES]:
        if rule["feed"] is not None and rule["feed"] not in keys:
            raise NoFeed(name, rule["feed"])
        wanted.append({**rule, "feed": keys.get(rule["feed"])})
    bounds.bring(entity, held, wanted)
    return changed


def put_limits(wanted: Wanted) -> list[Change]:
    """Change the limits of all entities together. Raises NoFeed."""
    held = list(RateLimit.objects.select_for_update(no_key=True, of=("self",)).filter(entity__isnull=True).order_by("pk"))
    fields = _limited(None, target(RateLimit, wanted, new=False), held, "", bounds.feeds())
    return [Change(kind=LIMIT, name="of all entities together", action=Action.CHANGED, fields=fields)] if fields else []


def retire_entities(names: Collection[str], source: str) -> list[Change]:
    """Disable entities that a configuration names no longer."""
    rows = list(Entity.objects.select_for_update(no_key=True).filter(slug__in=names, enabled=True).order_by("pk"))
    why = f"{source} names it no longer"
    for row in rows:
        row.enabled, row.disabled_reason = False, why
        chronicle.quietly(row, ["enabled", "disabled_reason"])
    chronicle.keep(rows, "", why)
    return [Change(kind=ENTITY, name=row.slug, action=Action.DISABLED, fields={"enabled": (True, False)}) for row in rows]
