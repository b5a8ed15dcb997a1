"""Rows brought to wanted values, and what changed: for whatever writes many rows from a description and must do it twice alike."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import models


class Action(StrEnum):
    """What happened to a row."""

    ADDED = "added"
    CHANGED = "changed"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row that is not what it was. `fields` is column → (before, after); a new row's `before` is None throughout."""

    kind: str
    name: str
    action: Action
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A row as it shall be.

    `said` is column → value. `back` names columns that return to their default, which is `assumed` where that has one. A new row gets
    `assumed` and then `said`. `revive` enables a row that an earlier description had disabled by no longer naming it.
    """

    name: str
    said: Mapping[str, Any]
    assumed: Mapping[str, Any] = field(default_factory=dict)
    back: frozenset[str] = frozenset()
    revive: bool = False


def target(model: type[models.Model], wanted: Wanted, *, new: bool) -> dict[str, Any]:
    """The column values that a row of `model` shall have; columns that are not in it stay."""
    values = dict(wanted.assumed) if new else {}
    values |= {column: wanted.assumed.get(column, default(model, column)) for column in wanted.back}
    if wanted.revive:
        values["enabled"] = True
    return {column: _plain(value) for column, value in {**values, **wanted.said}.items()}


def default(model: type[models.Model], column: str) -> Any:
    """What a new row has in `column` when nothing is said; None where the model has no such column."""
    names = {each.name for each in model._meta.concrete_fields}
    return model._meta.get_field(column).get_default() if column in names else None  # type: ignore[union-attr]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def differing(row: models.Model, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """column → (before, after) for those of `values` that the row has not."""
    return {column: (getattr(row, column), value) for column, value in values.items() if getattr(row, column) != value}


def made(kind: str, row: models.Model, name: str, values: Mapping[str, Any]) -> Change:
    """Give a new row its values and save it."""
    for column, value in values.items():
        setattr(row, column, value)
    row.save(force_insert=True)
    return Change(kind=kind, name=name, action=Action.ADDED, fields={column: (None, value) for column, value in values.items()})


def brought(kind: str, row: models.Model, name: str, values: Mapping[str, Any]) -> Change | None:
    """Bring an existing row to `values`; None, and nothing written, if it has them already. Other columns are not touched."""
    fields = differing(row, values)
    if not fields:
        return None
    for column, (_, after) in fields.items():
        setattr(row, column, after)
    row.save(update_fields=[*fields])
    return Change(kind=kind, name=name, action=Action.CHANGED, fields=fields)


def matched(rows: Iterable[models.Model], wanted: Sequence[Wanted], *keys: str) -> dict[str, models.Model]:
    """name of the wanted → row: by the first of `keys` where one matches, then by the next among the rows that are left."""
    found: dict[str, models.Model] = {}
    left = list(rows)
    for key in keys:
        index = {getattr(row, key): row for row in left}
        for each in wanted:
            row = index.get(each.said.get(key, each.name if key == keys[0] else None))
            if row is not None and each.name not in found and row in left:
                found[each.name] = row
                left.remove(row)
    return found


def freed(rows: Mapping[str, models.Model], wanted: Sequence[Wanted], column: str, aside: Callable[[models.Model], Any]) -> None:
    """Move values of a unique column out of the way where the wanted rows pass them round: each gets `aside(row)` for the moment."""
    held = {getattr(row, column): row for row in rows.values()}
    for each in wanted:
        holder = held.get(each.said.get(column))
        if holder is not None and holder is not rows.get(each.name):
            type(holder)._default_manager.filter(pk=holder.pk).update(**{column: aside(holder)})
