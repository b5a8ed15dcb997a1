"""Entities as they would be, without a row written: for replays of changed personas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from entities.logic.persona import Persona
from entities.logic.quota import Rule
from entities.models import Entity
from entities.portable import PREFIX, RULES
from entities.read import Rules, persona, rules
from swwbot_site.lib.changes import Wanted, target


@dataclass(frozen=True, slots=True, kw_only=True)
class Imagined:
    """Everybody as they would be, with their limits. New ones have negative keys."""

    personas: tuple[Persona, ...]
    rules: Rules


def imagined(wanted: Sequence[Wanted], common: Wanted | None = None, *, alone: bool = False) -> Imagined:
    """What would be if these entities, and the limits of all together, were brought to what is wanted; `alone`: only these exist."""
    rows = {row.slug: row for row in Entity.objects.order_by("slug")}
    limits = rules()
    own = dict(limits.own)
    for number, each in enumerate(wanted, 1):
        new = each.name not in rows
        row = rows.setdefault(each.name, Entity(pk=-number, slug=each.name))
        values = target(Entity, each, new=new)
        bounded = {column: values.pop(column) for column in [*values] if column.startswith(PREFIX)}
        for column, value in values.items():
            setattr(row, column, value)
        own[each.name] = _limited(own.get(each.name, ()), bounded, whole=False)
    names = {each.name for each in wanted}
    shared = limits.common if common is None else _limited(limits.common, common.said, whole=True)
    everybody = (row for slug, row in sorted(rows.items()) if slug in names or not alone)
    return Imagined(personas=tuple(persona(row) for row in everybody), rules=Rules(own=own, common=shared))


def _limited(held: Sequence[Rule], said: Mapping[str, Any], *, whole: bool) -> tuple[Rule, ...]:
    """Limits brought to the columns that are said; see `portable`."""
    plain = {rule.kind: rule for rule in held if rule.every == 1 and rule.feed_id is None}
    others = [rule for rule in held if rule.every != 1 or rule.feed_id is not None]
    for column, value in said.items():
        kind = column.removeprefix(PREFIX)
        if column == RULES:
            others = [_rule(each, whole) for each in value or ()]
        elif value:
            plain[kind] = Rule(kind=kind, amount=value, whole=whole)
        else:
            plain.pop(kind, None)
    return (*plain.values(), *others)


def _rule(said: Mapping[str, Any], whole: bool) -> Rule:
    feed = said["feed"]
    return Rule(
        kind=said["kind"], amount=said["amount"], every=said["every"], whole=whole, feed_id=None if feed is None else 0, feed=feed or ""
    )
