"""Many rows at once, without a cost for each: changed by one statement (`UPDATE … FROM unnest(…)`), their moments read as numbers.

Django's `bulk_update` makes a CASE per row and column, which takes longer to write and to parse than to carry out.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.db import connection, models
from django.db.models.functions import Cast, Extract

from swwbot_site.lib.written import filled, together


def update_each(
    model: type[models.Model],
    each: Mapping[int, Mapping[str, Any]],
    *,
    guard: Mapping[str, Any] | None = None,
    common: Mapping[str, Any] | None = None,
) -> frozenset[int]:
    """Set the columns of `each` (values by field name, by id; the same fields for all) and the values of `common`.

    Rows whose columns do not have the values of `guard` are left alone. Returns the ids of the changed rows. The order in which the
    rows are locked is the database's: who may meet another that locks several of them, locks them first.
    """
    statement = changes(model, each, guard=guard, common=common)
    return frozenset(int(row[0]) for row in together(statement)[0])


def changes(
    model: type[models.Model],
    each: Mapping[int, Mapping[str, Any]],
    *,
    guard: Mapping[str, Any] | None = None,
    common: Mapping[str, Any] | None = None,
) -> str:
    """The statement of `update_each`, for `written.together`; it gives the ids of the changed rows. No rows are no statement."""
    if not each:
        return ""
    ids = sorted(each)
    names = tuple(each[ids[0]])
    shared, guards = common or {}, guard or {}
    columns = [[*ids], *([_stored(_field(model, name), each[pk][name]) for pk in ids] for name in names)]
    values = [_stored(_field(model, name), value) for name, value in shared.items()]
    held = [_stored(_field(model, name), value) for name, value in guards.items()]
    return filled(_template(model, names, tuple(shared), tuple(guards)), [*values, *columns, *held])


@cache
def _template(model: type[models.Model], names: tuple[str, ...], shared: tuple[str, ...], guards: tuple[str, ...]) -> str:
    """`update_each` with its values left open: first the shared ones, then an array for each column, then the guards."""
    fields = [model._meta.pk, *(_field(model, name) for name in names)]
    quoted = connection.ops.quote_name
    pk, *columns = (quoted(field.column) for field in fields)
    common = (f"{quoted(_field(model, name).column)} = %s" for name in shared)
    held = (f"kept.{quoted(_field(model, name).column)} = %s" for name in guards)
    sets = ", ".join([*(f"{column} = given.{column}" for column in columns), *common])
    arrays = ", ".join(f"%s::{_type(field)}[]" for field in fields)
    where = " AND ".join([f"kept.{pk} = given.{pk}", *held])
    given = f"unnest({arrays}) AS given({', '.join([pk, *columns])})"
    return f"UPDATE {quoted(model._meta.db_table)} AS kept SET {sets} FROM {given} WHERE {where} RETURNING kept.{pk}"  # noqa: S608 - our own names; values come later, as literals


def epoch(moment: str | models.Func) -> Cast:
    """A moment's column as seconds since 1970; read as a datetime each costs ten times as much."""
    return Cast(Extract(moment, "epoch"), models.FloatField())


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _stored(field: Any, value: Any) -> Any:
    return field.get_db_prep_save(value, connection)


def _type(field: Any) -> str:
    """The column's type, without its length: a cast to varchar(30) would cut what is too long instead of refusing it."""
    kind = field.cast_db_type(connection)
    return str(kind).partition("(")[0]
