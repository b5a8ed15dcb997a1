"""`feeds[]` with their rooms: one object read into a feed's part, and shown."""

from collections.abc import Mapping
from typing import Any

from swwbot_site.config import address, section, tables
from swwbot_site.config.kinds import Wrong
from swwbot_site.config.part import FEED, Part
from swwbot_site.config.problems import Findings, step

ROOMS = "rooms"
"""The column in which a feed's rooms stand: a list of columns, all of them."""


def read(raw: Mapping[str, Any], path: str, cadence: float | None, findings: Findings) -> Part | None:
    """A feed's part; None, with an error found, if it has no address. `cadence` is the polling interval of those that name none, in s."""
    said = section.read(tables.FEED, raw, path, findings).said
    rooms = said.pop("_rooms", None)
    if rooms is not None:
        said[ROOMS] = _rooms(rooms, step(path, ROOMS), findings)
    if "url" not in said:
        if "url" not in raw:
            findings.error(step(path, "url"), "is absent; a feed needs the address of its API")
        return None
    try:
        said["url"] = address.normal(said["url"])
    except Wrong as exc:
        findings.error(step(path, "url"), str(exc))
        return None
    if cadence is not None:
        said.setdefault("poll_interval_s", cadence)
    name = said.get("name") or address.place(said["url"])
    return Part(kind=FEED, name=name, path=path, said=said, assumed={} if "name" in said else {"name": name})


def _rooms(raws: list[dict[str, Any]], path: str, findings: Findings) -> list[dict[str, Any]]:
    rooms: dict[str, dict[str, Any]] = {}
    for index, raw in enumerate(raws):
        here = step(path, index)
        room: dict[str, Any] = {"entities": (), "max_repliers": None, "max_bot_run": None, "strategy": "", "silence_s": None}
        room |= section.read(tables.ROOM, raw, here, findings).said
        if "domain" not in room:
            if "domain" not in raw:
                findings.error(step(here, "domain"), "is absent; a room is the messages of one domain")
        elif room["domain"] in rooms:
            findings.error(step(here, "domain"), f"is {room['domain']!r} once more; a feed has one room of each domain")
        else:
            rooms[room["domain"]] = room | {"entities": sorted(set(room["entities"]))}
    return [rooms[domain] for domain in sorted(rooms)]


def show(row: Mapping[str, Any]) -> dict[str, Any]:
    """A feed's row as the file writes it."""
    return {**section.show(tables.FEED, row), ROOMS: [section.show(tables.ROOM, room) for room in row[ROOMS]]}
