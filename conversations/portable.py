"""The door of the conversation's rows for configuration: feeds with their rooms, and the settings of all entities.

A feed's rooms are a column of it, `rooms`: a list of all of them, by domain, each with the ids of the entities it admits. Run inside one
transaction of the caller. Only what an operator writes is touched; cursor, lease, failures and the global stop stay.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from conversations.models import ConversationPolicy, Feed, Room
from entities import read
from swwbot_site.lib.changes import Action, Change, Wanted, brought, differing, freed, made, matched, target

FEED: Final = "feed"
TALK: Final = "conversation"
ROOMS: Final = "rooms"
SET: Final = ("max_repliers", "max_bot_run", "strategy", "silence_s")
"""What a room may set for itself."""


def feeds() -> list[dict[str, Any]]:
    """Every feed, column → value, by name."""
    rooms = _rooms()
    return [{**row, ROOMS: rooms.get(row["id"], [])} for row in Feed.objects.order_by("name").values()]


def _rooms() -> dict[int, list[dict[str, Any]]]:
    """feed → its rooms, by domain."""
    found: dict[int, list[dict[str, Any]]] = {}
    for room in Room.objects.order_by("domain").prefetch_related("entities"):
        entities = sorted(entity.slug for entity in room.entities.all())
        shown = {"domain": room.domain, "entities": entities, **{name: getattr(room, name) for name in SET}}
        found.setdefault(room.feed_id, []).append(shown)
    return found


def talk() -> dict[str, Any]:
    """The settings of all entities, column → value."""
    row = ConversationPolicy.current()
    return {field.name: getattr(row, field.name) for field in ConversationPolicy._meta.concrete_fields if field.editable}


def put_feeds(wanted: Sequence[Wanted]) -> list[Change]:
    """Make or change feeds, found by name, else by address. Raises IntegrityError if an address belongs to another feed."""
    rows = matched(Feed.objects.select_for_update(no_key=True).order_by("pk"), wanted, "name", "url")
    freed(rows, wanted, "url", lambda row: f"http://moving.invalid/{row.pk}")
    changes: list[Change | None] = []
    for each in wanted:
        row = rows.get(each.name)
        values = _without_rooms(target(Feed, each, new=row is None))
        changes.append(made(FEED, Feed(), each.name, values) if row is None else brought(FEED, row, each.name, values))
    return [change for change in changes if change is not None]


def _without_rooms(values: dict[str, Any]) -> dict[str, Any]:
    return {column: value for column, value in values.items() if column != ROOMS}


def put_rooms(wanted: Sequence[Wanted]) -> list[Change]:
    """Bring the rooms of feeds that say which they have to that list. The feeds, and the entities that rooms admit, are there already."""
    rows = matched(Feed.objects.order_by("pk"), wanted, "name", "url")
    ids = {persona.slug: persona.id for persona in read.personas()}
    before = _rooms()
    changes: list[Change] = []
    for each in wanted:
        if ROOMS not in each.said and ROOMS not in each.back:
            continue
        row = rows[each.name]
        old, new = before.get(row.pk, []), list(each.said.get(ROOMS, ()))
        if old != new:
            _furnish(row.pk, new, ids)
            changes.append(Change(kind=FEED, name=each.name, action=Action.CHANGED, fields={ROOMS: (old, new)}))
    return changes


def _furnish(feed_id: int, rooms: Sequence[dict[str, Any]], ids: dict[str, int]) -> None:
    Room.objects.filter(feed_id=feed_id).exclude(domain__in=[room["domain"] for room in rooms]).delete()
    for room in rooms:
        row, _ = Room.objects.update_or_create(feed_id=feed_id, domain=room["domain"], defaults={name: room[name] for name in SET})
        row.entities.set([ids[slug] for slug in room["entities"]])


def put_talk(wanted: Wanted) -> list[Change]:
    """Change the settings of all entities."""
    values = target(ConversationPolicy, wanted, new=False)
    current = ConversationPolicy.objects.select_for_update(no_key=True).filter(pk=1).first()
    if not differing(current or ConversationPolicy(), values):
        return []
    if current is None:
        ConversationPolicy.objects.get_or_create(pk=1)
        current = ConversationPolicy.objects.select_for_update(no_key=True).get(pk=1)
    change = brought(TALK, current, "of all entities together", values)
    return [] if change is None else [change]


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
