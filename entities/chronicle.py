"""How a change of entities becomes one version of each: its columns and its limits, who changed it, and why.

Save rows with `quietly` and their limits as usual, then `keep` them, all in one transaction.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from django.contrib.auth import get_user_model

from entities.models import Entity, RateLimit
from swwbot_site.lib import clock

WHY: Final = 100
"""Characters of a reason that a version keeps."""


def quietly(row: Any, columns: Iterable[str] | None = None) -> None:
    """Save a row, or some of its columns, without a version."""
    row.save_without_historical_record(**({} if columns is None else {"update_fields": [*columns]}))


def keep(rows: Sequence[Entity], who: str, why: str, *, new: Collection[int] = ()) -> None:
    """Keep one version of each row as it is now, limits included. `new` are the ids of those that were made just now.

    `who` is a user's name, or whatever else changed it; only users are linked.
    """
    limits: dict[int, list[dict[str, Any]]] = {row.pk: [] for row in rows}
    for limit in RateLimit.objects.filter(entity__in=[*limits]).order_by("kind", "every", "feed"):
        limits[limit.entity_id or 0].append(limit.document())
    user = get_user_model()._default_manager.filter(username=who).first() if who else None
    model: Any = Entity.history.model
    model.objects.bulk_create(
        model(
            **{field.attname: getattr(row, field.attname) for field in model.tracked_fields},
            history_date=clock.now(),
            history_type="+" if row.pk in new else "~",
            history_user=user,
            history_change_reason=why[:WHY],
            limits=limits[row.pk],
        )
        for row in rows
    )
