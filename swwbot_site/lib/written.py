"""Queries that are asked many times a second: Django writes their SQL once in a process, which takes longer than to answer them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

_NOW: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Stands for the present moment in what is written."""


class Written:
    """A query of plain values that depends on nothing but the present moment. `make` gives it for a moment, with `values_list`.

    The rows come as the database gives them: no column may need a conversion by Django (documents, enumerations).
    """

    def __init__(self, make: Callable[[datetime], QuerySet[Any, Any]]) -> None:
        self._make = make
        self._sql = ""
        self._values: tuple[Any, ...] = ()

    def rows(self, now: datetime) -> list[tuple[Any, ...]]:
        """The rows at that moment."""
        if not self._sql:
            self._sql, self._values = self._make(_NOW).query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(self._sql, [now if value == _NOW else value for value in self._values])
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found
