"""The door of the conversation's rows for configuration: feeds, read as columns and brought to wanted values.

Run inside one transaction of the caller. Only what an operator writes is touched; cursor, lease and failures stay.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from conversations.models import Feed
from swwbot_site.lib.changes import Action, Change, Wanted, brought, freed, made, matched, target

FEED: Final = "feed"


def feeds() -> list[dict[str, Any]]:
    """Every feed, column → value, by name."""
    return [dict(row) for row in Feed.objects.order_by("name").values()]


def put_feeds(wanted: Sequence[Wanted]) -> list[Change]:
    """Make or change feeds, found by name, else by address. Raises IntegrityError if an address belongs to another feed."""
    rows = matched(Feed.objects.select_for_update(no_key=True).order_by("pk"), wanted, "name", "url")
    freed(rows, wanted, "url", lambda row: f"http://moving.invalid/{row.pk}")
    changes: list[Change | None] = []
    for each in wanted:
        row = rows.get(each.name)
        values = target(Feed, each, new=row is None)
        changes.append(made(FEED, Feed(), each.name, values) if row is None else brought(FEED, row, each.name, values))
    return [change for change in changes if change is not None]


def put_cadence(wanted: Wanted, besides: Collection[str]) -> list[Change]:
    """Change the polling interval of every feed except those named `besides`."""
    values = target(Feed, wanted, new=False)
    rows = Feed.objects.select_for_update(no_key=True).exclude(name__in=besides).order_by("pk") if values else ()
    changes = [brought(FEED, row, row.name, values) for row in rows]
    return [change for change in changes if change is not None]


def retire_feeds(names: Collection[str]) -> list[Change]:
    """Disable feeds that a configuration names no longer."""
    changes: list[Change] = []
    for row in Feed.objects.select_for_update(no_key=True).filter(name__in=names, enabled=True).order_by("pk"):
        row.enabled = False
        row.save(update_fields=["enabled"])
        changes.append(Change(kind=FEED, name=row.name, action=Action.DISABLED, fields={"enabled": (True, False)}))
    return changes
