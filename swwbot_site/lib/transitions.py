"""The one place where a status moves.

A move is `UPDATE … WHERE status = old`: of many who try, the database lets one win, and the others are told 0. "Someone was
first" is normal life, not an error; a move that no table allows is a mistake in the program.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from django.db import models

from swwbot_site.lib.bulk import changes
from swwbot_site.lib.written import together

Moves = Mapping[Any, frozenset[Any]]
"""old status → the statuses it may move to; a status without an entry is final."""


class IllegalMove(Exception):
    """The program asked for a move that the table of its row does not know."""


class Stateful(Protocol):
    """A model with a `state` column and the table of its legal moves."""

    MOVES: Moves


def move(rows: models.QuerySet[Any], old: str, new: str, **fields: Any) -> int:
    """Move those of `rows` that are in `old` to `new`, setting `fields` with it. Returns how many moved; raises IllegalMove."""
    _legal(rows.model, old, new)
    return rows.filter(state=old).update(state=new, **fields)


def moved(row: models.Model, old: str, new: str, **fields: Any) -> bool:
    """Move one row and, if it was we who moved it, keep the instance in step. Returns whether it was."""
    model = type(row)
    if move(model._default_manager.filter(pk=row.pk), old, new, **fields) != 1:
        return False
    for name, value in {"state": new, **fields}.items():
        setattr(row, name, value)
    return True


def move_each(
    model: type[models.Model], old: str, new: str, each: Mapping[int, Mapping[str, Any]], *, guard: Mapping[str, Any], **fields: Any
) -> frozenset[int]:
    """Move many rows with one statement, each with values of its own (`each`, by id) and all with `fields`.

    Only rows that are in `old`, and whose columns have the values of `guard`, move. Returns the ids of those; raises IllegalMove.
    """
    return frozenset(int(row[0]) for row in together(moving(model, old, new, each, guard=guard, **fields))[0])


def moving(
    model: type[models.Model], old: str, new: str, each: Mapping[int, Mapping[str, Any]], *, guard: Mapping[str, Any], **fields: Any
) -> str:
    """The statement of `move_each`, for `written.together`; it gives the ids of those that moved. No rows are no statement."""
    _legal(model, old, new)
    return changes(model, each, guard={"state": old, **guard}, common={"state": new, **fields})


def _legal(model: Any, old: str, new: str) -> None:
    table: Moves = model.MOVES
    if new not in table.get(old, frozenset()):
        raise IllegalMove(f"{model.__name__}: {old} → {new} is not in its table of moves")
