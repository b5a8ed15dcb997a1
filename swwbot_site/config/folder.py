"""A folder of files as one document, as the bot of November kept its configuration. Pure: contents in, `Document` or `DocumentError` out.

::

    config.json              optional: everything of the single file but the entities, or with some of them
    global.json              the settings of all entities, as in globalSettings
    ai-entities/owl.json     one entity; its id is the file's name, unless it says one
    worker-config.json, god-mode.json, eq-score.json    have no effect here, with warnings

All but the first may stand in ai-entities too, as they did in November.

Problems say in which file: `ai-entities/owl.json: $.temperature`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from swwbot_site.config import idle, section, strict
from swwbot_site.config.document import Document, Raw, assembled
from swwbot_site.config.kinds import called
from swwbot_site.config.problems import DocumentError, Findings

MAIN: Final = ("config.json", "config-aientities.json")
GENERAL: Final = "global.json"
ENTITIES: Final = "ai-entities"
NONE: Final = frozenset({GENERAL, *idle.NAMES})
"""Files that are no entity wherever they stand."""
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The files of a folder: name within it, with `/`, and content, by name."""

    files: tuple[tuple[str, bytes], ...]


def parse(bundle: Bundle) -> Document:
    """The document of a folder. Raises DocumentError, and nothing else, with every problem found in any file."""
    findings = Findings()
    trees: dict[str, dict[str, Any]] = {}
    for name, content in bundle.files:
        if name in MAIN or _special(name) is not None or _entity(name) is not None:
            tree = _tree(name, content, findings)
            if tree is not None:
                trees[name] = tree
        else:
            findings.warn(name, "is not read; a folder holds config.json, global.json and ai-entities/*.json")
    findings.settle()
    for name, tree in trees.items():
        special = _special(name) or ""
        if special in idle.WHOLE:
            findings.warn(root(name), f"has no effect: {idle.WHOLE[special]}")
        elif special == "worker-config.json":
            section.read(idle.WORKER, tree, root(name), findings)
    mains = [name for name in MAIN if name in trees]
    if len(mains) > 1:
        findings.error(mains[1], f"stands beside {mains[0]}; keep one of them")
    main: Raw = (trees[mains[0]], root(mains[0])) if mains else ({}, root(MAIN[0]))
    parts, version = assembled(main, _general(main, trees, findings), _entities(main, trees, findings), findings)
    return Document(version=version, parts=tuple(parts), problems=findings.settle())


def root(name: str) -> str:
    """The path of a whole file."""
    return f"{name}: $"


def _special(name: str) -> str | None:
    """The bare name of a file that is no entity and not the main one; None for another file."""
    bare = name.removeprefix(f"{ENTITIES}/")
    return bare if bare in NONE else None


def _entity(name: str) -> str | None:
    """The bare name of an entity's file, without its ending; None for another file."""
    group, _, file = name.partition("/")
    mine = group == ENTITIES and file.endswith(".json") and "/" not in file and file not in NONE
    return file.removesuffix(".json") if mine else None


def _tree(name: str, content: bytes, findings: Findings) -> dict[str, Any] | None:
    own = Findings()
    tree: Any = None
    try:
        tree = strict.load(content, own)
        problems = own.settle()
    except DocumentError as exc:
        problems = exc.problems
    findings.problems += [replace(problem, path=f"{name}: {problem.path}") for problem in problems]
    if tree is None or isinstance(tree, dict):
        return tree
    findings.error(root(name), f"is {called(tree)}; it must be an object")
    return None


def _general(main: Raw, trees: Mapping[str, dict[str, Any]], findings: Findings) -> list[Raw]:
    tree, path = main
    own = tree.get("globalSettings", {})
    if not isinstance(own, dict):
        findings.error(f"{path}.globalSettings", f"is {called(own)}; it must be an object")
        own = {}
    return [(own, f"{path}.globalSettings"), *((tree, root(name)) for name, tree in trees.items() if _special(name) == GENERAL)]


def _entities(main: Raw, trees: Mapping[str, dict[str, Any]], findings: Findings) -> list[tuple[Mapping[str, Any], str, str]]:
    tree, path = main
    found: list[tuple[Mapping[str, Any], str, str]] = []
    inside = tree.get("entities", [])
    if not isinstance(inside, list) or not all(isinstance(each, dict) for each in inside):
        findings.error(f"{path}.entities", f"is {called(inside)}; it must be a list of objects")
        inside = []
    found += [(each, f"{path}.entities[{index}]", "") for index, each in enumerate(inside)]
    for name, raw in trees.items():
        bare = _entity(name)
        if bare is None:
            continue
        slug = raw.get("id", bare)
        if isinstance(slug, str) and bare not in (slug.strip(), file_name(slug.strip())):
            findings.warn(f"{root(name)}.id", f"is {slug[:100]!r}, unlike the file's name; the id counts")
        found.append(({**raw, "id": slug}, root(name), "turns"))
    return found


def file_name(slug: str) -> str:
    """The bare name of the file of an entity: its id if every file system keeps it apart from all others, else one made of it."""
    if _PLAIN.fullmatch(slug) and f"{slug}.json" not in NONE:
        return slug
    return f"{quote(slug.lower(), safe='')[:80].replace('%', '_').strip('._') or 'entity'}~{sha256(slug.encode()).hexdigest()[:8]}"


def split(tree: Mapping[str, Any]) -> dict[str, str]:
    """The tree of an export as files: name → text."""
    files = {MAIN[0]: _text({key: value for key, value in tree.items() if key != "entities"})}
    for raw in tree["entities"]:
        files[f"{ENTITIES}/{file_name(raw['id'])}.json"] = _text(raw)
    return files


def _text(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
