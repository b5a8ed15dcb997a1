"""Leafing through tables of millions of rows: nothing here reads a table whole.

The newest SHOWN rows can be leafed through; who looks for older ones filters. Whatever is there beyond is estimated by the database.
"""

import json
from functools import cached_property
from typing import Any, Final

from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Max, QuerySet

SHOWN: Final = 10_000
"""So many rows are counted, and can be leafed through."""

NEWEST: Final = 100_000
"""Among so many of the newest rows words are looked for."""


class Leafing(Paginator):  # type: ignore[type-arg]  # generic only for the type checker
    """A paginator that counts no further than SHOWN."""

    template_name = "admin/leafing.html"

    @cached_property
    def count(self) -> int:
        """How many can be leafed through."""
        rows: Any = self.object_list
        return len(rows) if isinstance(rows, list) else int(rows.order_by().values("pk")[:SHOWN].count())

    @cached_property
    def told(self) -> str:
        """How many there are, in words: exactly, or about."""
        rows: Any = self.object_list
        if self.count < SHOWN or isinstance(rows, list):
            return f"{self.count:,}".replace(",", "\u202f")
        return f"about {max(SHOWN, estimated(rows)):,}".replace(",", "\u202f")

    @cached_property
    def cut(self) -> bool:
        """Whether there is more than can be leafed through."""
        return self.count >= SHOWN


def estimated(rows: QuerySet[Any]) -> int:
    """How many rows the database's planner expects of a query."""
    sql, params = rows.order_by().values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
        plan = cursor.fetchone()[0]
    document = json.loads(plan) if isinstance(plan, str) else plan
    return int(document[0]["Plan"]["Plan Rows"])


def newest(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the newest NEWEST rows of their table."""
    if rows.model._meta.pk is None or rows.model._meta.pk.get_internal_type() not in ("AutoField", "BigAutoField"):
        return rows
    last = rows.model._default_manager.order_by().aggregate(last=Max("pk"))["last"] or 0
    return rows.filter(pk__gt=last - NEWEST)
