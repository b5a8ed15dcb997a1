"""A configuration file as a validated value. Pure: text in, `Document` or `DocumentError` out.

Read are the design document's example, the September format, the October additions and this bot's own additions
(docs/configuration.md lists every key). A wrong type or an impossible value is an error and nothing is used; whatever has no effect or
had to be assumed is a warning with its path.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from swwbot_site.config import address, machine, persona, policy, section, strict, tables
from swwbot_site.config.kinds import Wrong, called
from swwbot_site.config.part import CADENCE, ENTITY, FEED, LIMIT, SERVER, Part
from swwbot_site.config.problems import DocumentError, Findings, Problem, Severity, listed, step

__all__ = ["Document", "DocumentError", "Part", "Problem", "Severity", "parse"]

SECTIONS: Final = ("lmStudioServers", "clusterSettings", "feeds", "entities", "globalSettings", "botSettings", "queueSettings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Everything a file says, as parts of rows. `problems` are warnings only."""

    version: str
    parts: tuple[Part, ...]
    problems: tuple[Problem, ...]

    def of(self, kind: str) -> tuple[Part, ...]:
        """The parts of one kind, in the order of the file."""
        return tuple(part for part in self.parts if part.kind == kind)

    def dangling(self, servers: Iterable[str], entities: Iterable[str]) -> tuple[Problem, ...]:
        """Warnings for references to servers and entities that are neither in the document nor among the names given.

        `servers` are names and addresses (URLs) of rows, `entities` ids.
        """
        findings = Findings()
        machines = {spelling for part in self.of(SERVER) for spelling in spellings(part.name, part.said["url"])} | {*servers}
        known = {part.name for part in self.of(ENTITY)} | {*entities}
        for part in self.of(ENTITY):
            pin = part.said.get("preferred_server")
            if pin and pin not in machines:
                findings.warn(
                    step(part.path, "preferredServer"), f"names {pin!r}, which no server is called; nobody can answer for this entity"
                )
            lost = [name for name in part.said.get("responds_to_these_ai", ()) if name not in known]
            if lost:
                where = step(step(part.path, "conversationSettings"), "respondsToTheseAiOnly")
                findings.warn(where, f"names {listed(lost)}, which no entity is called")
        return findings.settle()


def spellings(name: str, url: str) -> set[str]:
    """How an entity may name a server: its name, URL, host with port, or host."""
    place = address.place(url)
    parts = address.parted(url)
    return {name, url, place} | ({parts[0]} if parts else set())


def parse(text: str | bytes) -> Document:
    """The document of a JSON text. Raises DocumentError, and nothing else, with every problem found."""
    findings = Findings()
    tree = strict.load(text, findings)
    if not isinstance(tree, dict):
        findings.error("$", f"is {called(tree)}; a configuration is an object")
        findings.settle()
    parts, version = _sections(tree, findings)
    return Document(version=version, parts=tuple(parts), problems=findings.settle())


def _sections(tree: Mapping[str, Any], findings: Findings) -> tuple[list[Part], str]:
    numbered = isinstance(tree.get("version"), int | float) and not isinstance(tree.get("version"), bool)
    own = {key: value for key, value in tree.items() if key not in SECTIONS}
    top = section.read(tables.TOP, {**own, "version": str(tree["version"])} if numbered else own, "$", findings, also=SECTIONS).said
    literal = top.get("_escapes") == "literal"
    general = section.read(tables.GLOBAL, _object(tree, "globalSettings", findings), "$.globalSettings", findings).said
    cluster = section.read(tables.CLUSTER, _object(tree, "clusterSettings", findings), "$.clusterSettings", findings).said
    bot = section.read(tables.BOT, _object(tree, "botSettings", findings), "$.botSettings", findings).said
    queue = section.read(tables.QUEUE, _object(tree, "queueSettings", findings), "$.queueSettings", findings).said

    parts = [part for raw, path in _list(tree, "lmStudioServers", findings) if (part := machine.read(raw, path, findings)) is not None]
    parts.append(policy.read(cluster, queue, general, findings))
    cadence = bot.get("poll_interval_s")
    parts.append(Part(kind=CADENCE, path="$.botSettings.pollingInterval", said={} if cadence is None else {"poll_interval_s": cadence}))
    parts += [part for raw, path in _list(tree, "feeds", findings) if (part := _feed(raw, path, cadence, findings)) is not None]
    limits = {column: amount for column, amount in general.items() if column.startswith("limits.")}
    parts.append(Part(kind=LIMIT, path="$.globalSettings.rateLimits", said=limits))
    for raw, path in _list(tree, "entities", findings):
        part = persona.read(raw, path, queue.get("priority"), literal, findings)
        if part is not None:
            parts.append(part)
    _once(parts, findings)
    return parts, top.get("_version", "")


def _object(tree: Mapping[str, Any], key: str, findings: Findings) -> Mapping[str, Any]:
    value = tree.get(key, {})
    if isinstance(value, dict):
        return value
    findings.error(step("$", key), f"is {called(value)}; it must be an object")
    return {}


def _list(tree: Mapping[str, Any], key: str, findings: Findings) -> list[tuple[Mapping[str, Any], str]]:
    value, path = tree.get(key, []), step("$", key)
    if not isinstance(value, list):
        findings.error(path, f"is {called(value)}; it must be a list of objects")
        return []
    for index, each in enumerate(value):
        if not isinstance(each, dict):
            findings.error(step(path, index), f"is {called(each)}; it must be an object")
    return [(each, step(path, index)) for index, each in enumerate(value) if isinstance(each, dict)]


def _feed(raw: Mapping[str, Any], path: str, cadence: float | None, findings: Findings) -> Part | None:
    said = section.read(tables.FEED, raw, path, findings).said
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


def _once(parts: Iterable[Part], findings: Findings) -> None:
    """Errors for names and addresses that two rows would share."""
    seen: dict[tuple[str, str, str], str] = {}
    for part in parts:
        shared = [("name", part.name)] if part.kind in (SERVER, FEED, ENTITY) else []
        if part.kind in (SERVER, FEED):
            shared.append(("url", part.said["url"]))
        for what, value in shared:
            first = seen.setdefault((part.kind, what, value), part.path)
            if first != part.path:
                findings.error(part.path, f"has the {'id' if part.kind == ENTITY else what} {value!r}, like {first}; each needs its own")
