"""The door of retention for configuration: how long rows are kept, as columns, brought to wanted values."""

from typing import Final

from swwbot_site.lib.changes import Change, Wanted, brought, differing, target
from swwbot_site.retention.row import Retention

RETENTION: Final = "retention"


def days() -> dict[str, int]:
    """How long rows are kept, column → value."""
    row = _row()
    return {name: getattr(row, name) for name in Retention.written()}


def put(wanted: Wanted) -> list[Change]:
    """Change how long rows are kept. Call it before anything else is locked: a step of throwing away holds its row, and then others."""
    values = target(Retention, wanted, new=False)
    if not differing(_row(), values):
        return []
    change = brought(RETENTION, Retention.locked(), "of old rows", values)
    return [] if change is None else [change]


def _row() -> Retention:
    return Retention.objects.filter(pk=1).first() or Retention()
