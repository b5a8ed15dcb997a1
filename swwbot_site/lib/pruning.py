"""Old rows in small batches: which ones are old, and how they go. What may go is each app's own business.

Tables are walked in the order of their numbers, which is that of their making. Where a walk has come to is kept, so no batch looks at a
row that an earlier one has passed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import connection, models
from django.db.models import Exists, ForeignObjectRel, OuterRef, Q, QuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What is older than `before` is old; rows up to the number `after` were looked at; of the next ones `size` are looked at."""

    before: datetime
    after: int = 0
    size: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The keys of rows that may go, locked until the running transaction ends; up to which number was looked; whether there may be more."""

    ids: Sequence[Any]
    position: int
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of rows that get old. `choose` locks some that may go, `remove` takes them away and says what went, by name.

    Both are called in one transaction. `again`: what was passed because it was still needed is looked at again the next day.
    """

    name: str
    choose: Callable[[Cut], Chosen]
    remove: Callable[[Sequence[Any]], Mapping[str, int]]
    again: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """The next rows of a table that were made before the cut."""

    ids: Sequence[int]
    position: int
    more: bool

    def of(self, rows: "QuerySet[Any]") -> Chosen:
        """Those of them that are among `rows`, and nobody else's at this moment."""
        return Chosen(ids=locked(rows.filter(pk__in=self.ids)) if self.ids else (), position=self.position, more=self.more)

    def only(self, ids: Sequence[int]) -> Chosen:
        """Some of them that are locked already."""
        return Chosen(ids=ids, position=self.position, more=self.more)


def walk(rows: "QuerySet[Any]", made: str, cut: Cut) -> Walked:
    """The next rows that are old by their column `made`. The walk ends where the last of so many is not; one wrong clock does not stop it."""
    found = list(rows.filter(pk__gt=cut.after).order_by("pk").values_list("pk", made)[: cut.size])
    old = [pk for pk, at in found if at < cut.before]
    return Walked(ids=old, position=old[-1] if old else cut.after, more=len(found) == cut.size and found[-1][1] < cut.before)


def some(rows: "QuerySet[Any]", cut: Cut) -> Chosen:
    """The first of few rows, all of which may go."""
    ids = locked(rows, cut.size)
    return Chosen(ids=ids, position=cut.after, more=len(ids) == cut.size)


def locked(rows: "QuerySet[Any]", most: int | None = None) -> list[Any]:
    """The keys of rows, locked; without those that somebody else has."""
    return list(rows.select_for_update(of=("self",), skip_locked=True).order_by("pk").values_list("pk", flat=True)[:most])


def referred(model: type[models.Model]) -> Q:
    """The filter of rows that any other row refers to, whichever app it is of."""
    return reduce(or_, (Q(Exists(_back(one))) for one in _references(model)), Q(pk__in=[]))


def _references(model: type[models.Model]) -> Iterator[ForeignObjectRel]:
    for one in model._meta.get_fields(include_hidden=True):
        if isinstance(one, ForeignObjectRel) and one.auto_created and not one.many_to_many:
            yield one


def _back(one: ForeignObjectRel) -> "QuerySet[Any]":
    related: Any = one.related_model
    rows: QuerySet[Any] = related._default_manager.order_by().filter(**{one.field.name: OuterRef("pk")})
    return rows


def erase(model: type[models.Model], ids: Sequence[Any]) -> int:
    """Delete rows that nothing refers to, with one statement and nothing else. Returns how many there were."""
    if not ids:
        return 0
    table, key = (connection.ops.quote_name(name) for name in (model._meta.db_table, str(model._meta.pk.column)))
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE {key} = ANY(%s)", [list(ids)])  # noqa: S608 - our own names
        return int(cursor.rowcount)
