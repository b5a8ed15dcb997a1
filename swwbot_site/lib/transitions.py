"""The one place where a status moves.

A move is `UPDATE … WHERE status = old`: of many who try, the database lets one win, and the others are told 0. "Someone was
first" is normal life, not an error; a move that no table allows is a mistake in the program.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from django.db import models

Moves = Mapping[Any, frozenset[Any]]
"""old status → the statuses it may move to; a status without an entry is final."""


class IllegalMove(Exception):
    """The program asked for a move that the table of its row does not know."""


class Stateful(Protocol):
    """A model with a `state` column and the table of its legal moves."""

    MOVES: Moves


def move(rows: models.QuerySet[Any], old: str, new: str, **fields: Any) -> int:
    """Move those of `rows` that are in `old` to `new`, setting `fields` with it. Returns how many moved; raises IllegalMove."""
    table: Moves = rows.model.MOVES
    if new not in table.get(old, frozenset()):
        raise IllegalMove(f"{rows.model.__name__}: {old} → {new} is not in its table of moves")
    return rows.filter(state=old).update(state=new, **fields)


def moved(row: models.Model, old: str, new: str, **fields: Any) -> bool:
    """Move one row and, if it was we who moved it, keep the instance in step. Returns whether it was."""
    model = type(row)
    if move(model._default_manager.filter(pk=row.pk), old, new, **fields) != 1:
        return False
    for name, value in {"state": new, **fields}.items():
        setattr(row, name, value)
    return True
