"""Personas as a configuration file or single settings would make them; nothing is imported."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from conversations.logic.recording import House
from conversations.logic.staging import SILENCE_S, Manners
from entities import read
from entities.imagined import Imagined, imagined
from swwbot_site.config import chat, folder, tables
from swwbot_site.config.document import Document, parse
from swwbot_site.config.folder import Bundle
from swwbot_site.config.kinds import Wrong
from swwbot_site.config.part import ENTITY, FEED, LIMIT, TALK
from swwbot_site.config.section import Field
from swwbot_site.lib.changes import Wanted
from swwbot_site.lib.errors import BotError, Fault

EVERYBODY = "*"


class NoSetting(BotError):
    """A setting that there is not, or a value that it may not have."""

    code = "no-setting"
    fault = Fault.REQUEST


def document(content: bytes | Bundle) -> Document:
    """The document of a file or a folder. Raises DocumentError."""
    return folder.parse(content) if isinstance(content, Bundle) else parse(content)


def personas(it: Document | None, settings: Iterable[str], *, alone: bool = False) -> Imagined:
    """Everybody as a document and then single settings (`owl.responseChance=0.5`) would have them; `alone`: only whom the document names.

    Raises NoSetting.
    """
    wanted = [Wanted(name=part.name, said=part.said, assumed=part.assumed) for part in it.of(ENTITY)] if it else []
    common = next((Wanted(name="", said=part.said) for part in it.of(LIMIT)), None) if it else None
    names = {one.name for one in wanted} | (set() if alone else {one.slug for one in read.personas()})
    changes: dict[str, dict[str, Any]] = {}
    for text in settings:
        slug, column, value = _setting(text, sorted(names))
        for name in sorted(names) if slug == EVERYBODY else [slug]:
            changes.setdefault(name, {})[column] = value
    said = {one.name: one for one in wanted}
    for name, columns in changes.items():
        one = said.get(name) or Wanted(name=name, said={})
        said[name] = replace(one, said={**one.said, **columns})
    return imagined(list(said.values()), common, alone=alone)


def _setting(text: str, names: Sequence[str]) -> tuple[str, str, Any]:
    left, equals, right = text.partition("=")
    if not equals:
        raise NoSetting(f"{text!r} sets nothing. Write ENTITY.SETTING=VALUE, for example owl.responseChance=0.5, or *.responseChance=0.")
    fields = {name: field for field in tables.ENTITY if _may(field) for name in (field.key, field.column)}
    found = max((name for name in fields if left.endswith(f".{name}")), key=len, default="")
    if not found:
        raise NoSetting(f"{left!r} names no setting of an entity. Known are {', '.join(sorted({f.key for f in fields.values()}))}.")
    slug, field = left[: -len(found) - 1], fields[found]
    if slug != EVERYBODY and slug not in names:
        raise NoSetting(f"There is no entity {slug!r}. Known: {', '.join(names) or 'none'}.")
    try:
        value = json.loads(right)
    except ValueError:
        value = right
    try:
        return slug, field.column, field.kind.read(value, lambda _: None)
    except Wrong as exc:
        raise NoSetting(f"{left} {exc}.") from exc


def _may(field: Field) -> bool:
    return bool(field.column) and not field.column.startswith("_") and field.column != "slug"


def house(it: Document, before: House) -> House:
    """A feed as the document would have it, if it names it."""
    said = next((part.said for part in it.of(FEED) if part.name == before.name), None)
    talk = next((part.said for part in it.of(TALK)), {})
    before = replace(before, require_human_s=talk.get("require_human_s", before.require_human_s))
    if said is None:
        return before
    manners = _manners(said, before.manners)
    rooms = dict(before.rooms)
    if chat.ROOMS in said:
        rooms = {room["domain"]: _room(room, manners) for room in said[chat.ROOMS]}
    same = {name: said[name] for name in ("domain", "window_gap_s", "max_text") if name in said}
    return replace(before, manners=manners, rooms=rooms, **same)


def _manners(said: Mapping[str, Any], before: Manners) -> Manners:
    return replace(before, **{name: said[name] for name in ("max_repliers", "strategy", "max_bot_run", "bot_decay") if name in said})


def _room(said: Mapping[str, Any], feed: Manners) -> Manners:
    own = {name: said[name] for name in ("max_repliers", "strategy", "max_bot_run") if said[name] not in (None, "")}
    silence = said["silence_s"]
    return replace(
        feed, **own, silence_s=SILENCE_S if silence is None else silence, members=frozenset(said["entities"]) if said["entities"] else None
    )
