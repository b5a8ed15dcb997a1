"""What may not be written anywhere in the project: unguarded statuses, swallowed errors, places of one machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import APPS, ROOT, Module, modules, nothing, under

GUARDS = ("swwbot_site.lib.transitions",)
PLACES = re.compile(r"(?<![\w.~$}])/(?:home|Users|root|work)/\w")
"""Folders that exist on somebody's machine only."""

INDEX = re.compile(r"(--(?:extra-)?index-url|--trusted-host|--find-links)[ =]\S|https?://\S+/simple(?:/|\b)")
"""The address of a package registry."""

TEXT = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", ".html", ".css", ".js", ".service", ".plist", ".conf", ".sh", ""}


def rows() -> Iterator[Module]:
    """The modules that touch rows: the apps without their peers and nouns, and the roof."""
    for module in modules():
        if module.name not in GUARDS and not (module.app in APPS and under(module.room, "lmstudio", "feed", "logic")):
            yield module


def calls(module: Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
            yield node


def test_a_status_is_written_only_by_the_one_helper() -> None:
    found = [
        module.at(node.lineno)
        for module in rows()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and target.attr == "state"
    ]
    found += [
        module.at(call.lineno)
        for module in rows()
        for call in calls(module, "update")
        if any(word.arg == "state" for word in call.keywords)
    ]
    found += [
        module.at(call.lineno)
        for module in rows()
        for call in (*calls(module, "bulk_update"), *calls(module, "save"))
        if any(isinstance(node, ast.Constant) and node.value == "state" for node in ast.walk(call))
    ]
    nothing(found)


def test_no_error_is_swallowed() -> None:
    """`except Exception` raises again or says what happened, with its trace."""

    def broad(handler: ast.ExceptHandler) -> bool:
        return handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")

    def answers(handler: ast.ExceptHandler) -> bool:
        return any(
            isinstance(node, ast.Raise)
            or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exception")
            for node in ast.walk(handler)
        )

    found = [
        module.at(node.lineno)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and broad(node) and not answers(node)
    ]
    nothing(found)


def test_no_message_leaves_inside_a_transaction() -> None:
    """Nothing is awaited in the body of `with transaction.atomic()`."""
    found = [
        module.at(node.lineno)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.With) and any("atomic(" in ast.unparse(item.context_expr) for item in node.items)
        if any(isinstance(inner, ast.Await | ast.AsyncFor | ast.AsyncWith) for inner in ast.walk(node))
    ]
    nothing(found)


def test_nothing_is_left_for_later() -> None:
    mark = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|raise NotImplementedError\b")
    found = [
        module.at(number)
        for module in modules()
        for number, line in enumerate(module.path.read_text().splitlines(), 1)
        if mark.search(line)
    ]
    nothing(found)


def written() -> list[Path]:
    """The files of the project as git would add them; every text file where there is no git."""
    try:
        said = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        skipped = {".venv", "var", ".git", "__pycache__"}
        return [path for path in ROOT.rglob("*") if path.is_file() and not skipped & set(path.relative_to(ROOT).parts)]
    return [ROOT / name for name in said.decode().split("\0") if name]


@pytest.mark.parametrize("pattern", [PLACES, INDEX], ids=["no folder of one machine", "no address of a package registry"])
def test_no_file_names(pattern: re.Pattern[str]) -> None:
    files = [path for path in written() if path.suffix in TEXT and path.is_file() and path != Path(__file__).resolve()]
    found = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    nothing(found)
