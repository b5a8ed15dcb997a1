"""Many rows at once, without a cost for each: changed by one statement (`UPDATE … FROM unnest(…)`), their moments read as numbers.

Django's `bulk_update` makes a CASE per row and column, which takes longer to write and to parse than to carry out.
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection, models
from django.db.models.functions import Cast, Extract
from psycopg import sql


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
    if not each:
        return frozenset()
    ids = sorted(each)
    names = list(each[ids[0]])
    fields = [model._meta.pk, *(_field(model, name) for name in names)]
    columns = [[*ids], *([_stored(_field(model, name), each[pk][name]) for pk in ids] for name in names)]
    shared = [(_field(model, name), value) for name, value in (common or {}).items()]
    guards = [(_field(model, name), value) for name, value in (guard or {}).items()]
    own = [sql.SQL("{0} = given.{0}").format(sql.Identifier(field.column)) for field in fields[1:]]
    statement = sql.SQL(
        "UPDATE {table} AS kept SET {sets} FROM unnest({arrays}) AS given({names}) WHERE {where} RETURNING kept.{pk}"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        sets=sql.SQL(", ").join([*own, *(sql.SQL("{} = %s").format(sql.Identifier(field.column)) for field, _ in shared)]),
        arrays=sql.SQL(", ").join(sql.SQL("%s::" + _type(field) + "[]") for field in fields),
        names=sql.SQL(", ").join(sql.Identifier(field.column) for field in fields),
        where=sql.SQL(" AND ").join(
            [
                sql.SQL("kept.{0} = given.{0}").format(sql.Identifier(fields[0].column)),
                *(sql.SQL("kept.{} = %s").format(sql.Identifier(field.column)) for field, _ in guards),
            ]
        ),
        pk=sql.Identifier(fields[0].column),
    )
    values = [*(_stored(field, value) for field, value in shared), *columns, *(_stored(field, value) for field, value in guards)]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return frozenset(int(row[0]) for row in cursor.fetchall())


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
