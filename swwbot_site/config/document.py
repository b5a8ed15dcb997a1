"""A configuration file as a validated value. Pure: text in, `Document` or `DocumentError` out.

Read are the design document's example, the September format, the additions of October and November, and this bot's own
(docs/configuration.md lists every key). `folder` puts several files together and uses the same parts. A wrong type or an impossible value is an error and nothing is used; whatever has no effect or
had to be assumed is a warning with its path.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from swwbot_site.config import address, chat, escapes, machine, persona, policy, runner, section, strict, tables
from swwbot_site.config.kinds import called
from swwbot_site.config.part import CADENCE, ENTITY, FEED, LIMIT, POLICY, RETENTION, SERVER, TALK, Part
from swwbot_site.config.problems import DocumentError, Findings, Problem, Severity, listed, step

__all__ = ["Document", "DocumentError", "Part", "Problem", "Severity", "parse"]

Raw = tuple[Mapping[str, Any], str]
"""An object and where it stands."""

SECTIONS: Final = (
    *("lmStudioServers", "clusterSettings", "feeds", "entities", "globalSettings", "botSettings", "queueSettings"),
    "retention",
)


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

    def check(self, balancing: Collection[str], replying: Collection[str], entities: Iterable[str]) -> None:
        """Raises DocumentError for strategies that nobody brings, and for entities of rooms that are neither here nor among `entities`.

        `balancing` are the strategies of the cluster, `replying` those of choosing who answers.
        """
        findings = Findings()
        known = {part.name for part in self.of(ENTITY)} | {*entities}
        for part in self.of(POLICY):
            _known(part.said.get("strategy"), balancing, step(part.path, "loadBalancingStrategy"), findings)
        for part in self.of(FEED):
            _known(part.said.get("strategy"), replying, step(part.path, "strategy"), findings)
            for index, room in enumerate(part.said.get(chat.ROOMS, ())):
                where = step(step(part.path, chat.ROOMS), index)
                _known(room["strategy"], replying, where, findings)
                if lost := [name for name in room["entities"] if name not in known]:
                    findings.error(where, f"of {room['domain']} admits {listed(lost)}, which no entity is called")
        findings.settle()


def _known(strategy: str | None, names: Collection[str], path: str, findings: Findings) -> None:
    if strategy and strategy not in names:
        findings.error(path, f"is {strategy!r}; choose one of {listed(sorted(names))}, or name the module that brings it in PLUGINS")


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
    general = [(_object(tree, "globalSettings", findings), "$.globalSettings")]
    return assembled((tree, "$"), general, [(raw, path, "") for raw, path in _list(tree, "entities", findings)], findings)


def assembled(
    main: Raw, general: Sequence[Raw], entities: Iterable[tuple[Mapping[str, Any], str, str]], findings: Findings
) -> tuple[list[Part], str]:
    """The parts, and the version, of what stands in one file or in many.

    `main` holds everything but the entities and the settings of all of them, which come as `general`; each entity comes with its path
    and the format of its prompt where it names none.
    """
    tree, root = main
    numbered = isinstance(tree.get("version"), int | float) and not isinstance(tree.get("version"), bool)
    own = {key: value for key, value in tree.items() if key not in SECTIONS}
    top = section.read(runner.TOP, {**own, "version": str(tree["version"])} if numbered else own, root, findings, also=SECTIONS).said
    literal = top.get("_escapes") == "literal"
    shared = _general(general, literal, findings)
    cluster, rhythm, queue, kept = (
        section.read(table, _object(tree, key, findings, root), step(root, key), findings).said
        for key, table in (
            ("clusterSettings", tables.CLUSTER),
            ("botSettings", runner.BOT),
            ("queueSettings", runner.QUEUE),
            ("retention", tables.RETENTION),
        )
    )
    machines = _list(tree, "lmStudioServers", findings, root)
    parts = [part for raw, path in machines if (part := machine.read(raw, path, findings)) is not None]
    parts.append(policy.read(cluster, queue, shared, step(root, "clusterSettings"), step(root, "queueSettings"), findings))
    cadence = rhythm.get("poll_interval_s")
    where = step(step(root, "botSettings"), "pollingInterval")
    parts.append(Part(kind=CADENCE, path=where, said={} if cadence is None else {"poll_interval_s": cadence}))
    feeds = _list(tree, "feeds", findings, root)
    parts += [part for raw, path in feeds if (part := chat.read(raw, path, cadence, findings)) is not None]
    limits = {column: amount for column, amount in shared.items() if column.startswith("limits.")}
    where = step(root, "globalSettings")
    parts.append(Part(kind=LIMIT, path=step(where, "rateLimits"), said=limits))
    parts.append(Part(kind=TALK, path=where, said={column: shared[column] for column in tables.TALK if column in shared}))
    parts.append(Part(kind=RETENTION, path=step(root, "retention"), said=kept))
    for raw, path, form in entities:
        part = persona.read(raw, path, queue.get("priority"), literal, findings, form)
        if part is not None:
            parts.append(part)
    _once(parts, findings)
    return parts, top.get("_version", "")


def _general(raws: Sequence[Raw], literal: bool, findings: Findings) -> dict[str, Any]:
    """The settings of all entities, from one or two objects that say nothing twice."""
    said: dict[str, Any] = {}
    for raw, path in raws:
        here = section.read(tables.GLOBAL, raw if literal else escapes.decoded(raw, path, findings), path, findings).said
        persona.warmed(here, path, findings)
        said_twice = sorted(here.keys() & said.keys())
        if said_twice:
            keys = [field.key for field in tables.GLOBAL if field.column in said_twice]
            findings.error(path, f"says {listed(keys)}, which another file says too; write it in one of them")
        said |= here
    return said


def _object(tree: Mapping[str, Any], key: str, findings: Findings, root: str = "$") -> Mapping[str, Any]:
    value = tree.get(key, {})
    if isinstance(value, dict):
        return value
    findings.error(step(root, key), f"is {called(value)}; it must be an object")
    return {}


def _list(tree: Mapping[str, Any], key: str, findings: Findings, root: str = "$") -> list[Raw]:
    value, path = tree.get(key, []), step(root, key)
    if not isinstance(value, list):
        findings.error(path, f"is {called(value)}; it must be a list of objects")
        return []
    for index, each in enumerate(value):
        if not isinstance(each, dict):
            findings.error(step(path, index), f"is {called(each)}; it must be an object")
    return [(each, step(path, index)) for index, each in enumerate(value) if isinstance(each, dict)]


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
