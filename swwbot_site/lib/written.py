"""Queries that are asked many times a second: Django writes their SQL once in a process, and several go to the database at once.

Writing the SQL of a query takes Django longer than to answer it takes the database; and each question asked by itself costs a way
there and back, which inside a transaction others wait for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models import NOT_PROVIDED, QuerySet
from psycopg.adapt import Transformer

Rows = list[tuple[Any, ...]]

_STANDINS: Final[Mapping[type, Callable[[int], Any]]] = {
    datetime: lambda n: datetime(1, 1, 1 + n, tzinfo=UTC),
    int: lambda n: -1_000_000_007 - n,
    str: lambda n: f"\x01{n}\x01",
    list: lambda n: [-2_000_000_011 - n],
}
"""What stands for a value that is not known yet when a query is written, by its kind."""


def together(*statements: str) -> list[Rows]:
    """Run statements one after the other in one go. Returns the rows of each; each sees what others have committed before it began."""
    wanted = [statement for statement in statements if statement]
    if not wanted:
        return [[] for _ in statements]
    found: list[Rows] = []
    with connection.cursor() as cursor:
        cursor.execute(";\n".join(wanted))
        while True:
            found.append(cursor.fetchall() if cursor.description else [])
            if not cursor.nextset():
                break
    answers = iter(found)
    return [next(answers) if statement else [] for statement in statements]


def literals(values: Iterable[Any]) -> list[str]:
    """Values as they stand in SQL."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        writer = Transformer(connection.connection)
        return [writer.as_literal(value).decode() for value in values]


def filled(statement: str, values: Iterable[Any]) -> str:
    """A statement with its values in place of its `%s`."""
    parts = statement.split("%s")
    given = [*literals(values), ""]
    return "".join([text.replace("%%", "%") + value for text, value in zip(parts, given, strict=True)])


class Written:
    """A query of plain values with gaps. `make` gives it, with `values_list`, for values of the gaps, whose kinds are `gaps`: `datetime`,
    `int`, `str`, or `list` (of numbers).

    The rows come as the database gives them: documents are text.
    """

    def __init__(self, make: Callable[..., QuerySet[Any, Any]], **gaps: type) -> None:
        self._make = make
        self._gaps = gaps
        self._written: tuple[list[str], list[str]] | None = None

    def text(self, **values: Any) -> str:
        """The statement for these values, for `together`."""
        parts, names = self._written = self._written or self._write()
        given = iter(literals(values[name] for name in names if self._gaps[name] is not list))
        filling = [_listed(values[name]) if self._gaps[name] is list else next(given) for name in names]
        return "".join([part for pair in zip(parts, [*filling, ""], strict=True) for part in pair])

    def rows(self, **values: Any) -> Rows:
        """The rows for these values."""
        return together(self.text(**values))[0]

    def _write(self) -> tuple[list[str], list[str]]:
        """The pieces between the gaps, and whose gap follows each but the last."""
        standins = {name: _STANDINS[kind](n) for n, (name, kind) in enumerate(self._gaps.items())}
        known = {(one[0] if isinstance(one, list) else one): name for name, one in standins.items()}
        statement, values = self._make(**standins).query.sql_with_params()
        first, *pieces = [piece.replace("%%", "%") for piece in statement.split("%s")]
        parts, names = [first], []
        for value, piece in zip(values, pieces, strict=True):
            name = known.get(value) if isinstance(value, int | str | datetime) else None
            if name is None:
                parts[-1] += literals([value])[0] + piece
            else:
                names.append(name)
                parts.append(piece)
        return parts, names


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers) or "NULL"


class Insert:
    """New rows of a model, of which the fields `names` have values of their own and all others their defaults.

    The defaults are asked for once in a process: none of them may depend on the moment.
    """

    def __init__(self, model: type[models.Model], *names: str) -> None:
        self._model = model
        self._names = names

    def text(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """The statement, for `together`; it gives the new ids. No rows are no statement."""
        if not rows:
            return ""
        head, columns = _head(self._model, self._names)
        ours = connections[DEFAULT_DB_ALIAS]  # asked for once: `connection` looks it up at each use
        varying = [field for field in columns if not isinstance(field, str)]
        given = [field.get_db_prep_save(row[field.name], ours) for row in rows for field in varying]
        written = iter(literals(given))
        lines = [", ".join(column if isinstance(column, str) else next(written) for column in columns) for _ in rows]
        return f"{head} VALUES ({'), ('.join(lines)}) RETURNING {connection.ops.quote_name(str(self._model._meta.pk.column))}"


@cache
def _head(model: type[models.Model], names: tuple[str, ...]) -> tuple[str, list[Any]]:
    """The beginning of an insertion, and its columns: fields, or what is written for all rows."""
    quoted = connection.ops.quote_name
    fields = [field for field in model._meta.concrete_fields if not field.primary_key or field.name in names]
    columns = [field if field.name in names else _default(field) for field in fields]
    missing = set(names) - {field.name for field in fields}
    assert not missing, f"{model.__name__} has no {missing}"
    return f"INSERT INTO {quoted(model._meta.db_table)} ({', '.join(quoted(str(field.column)) for field in fields)})", columns


def _default(field: Any) -> str:
    if field.db_default is not NOT_PROVIDED:
        return "DEFAULT"
    return literals([field.get_db_prep_save(field.get_default(), connection)])[0]
