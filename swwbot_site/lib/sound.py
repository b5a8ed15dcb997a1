"""Whether a row may be kept with the columns that were changed in it."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import Model


def check(row: Model, columns: Collection[str]) -> None:
    """Judge these columns alone, and the row's constraints as a whole. Raises ValidationError, by field.

    Django's `full_clean` would pass over each constraint that names a column which was not changed.
    """
    others = [field.name for field in row._meta.concrete_fields if field.name not in columns]
    row.clean_fields(exclude=others)
    row.clean()
    row.validate_unique(exclude=others)
    row.validate_constraints()


def saved(row: Model, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Save the columns that are to be different, and no others; returns which. Raises ValidationError, by field."""
    changed = tuple(name for name, value in values.items() if getattr(row, name) != value)
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        check(row, changed)
        row.save(update_fields=changed)
    return changed
