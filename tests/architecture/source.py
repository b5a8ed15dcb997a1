"""The project's source as data: its modules, what they import and where."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("swwbot_site", "cluster", "entities", "conversations")
APPS = ("cluster", "entities", "conversations")
LIMIT = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported name: `target` is dotted ("cluster.queue"), `typing` only for the type checker, `inner` inside a function."""

    target: str
    line: int
    typing: bool
    inner: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module of the project."""

    name: str
    path: Path
    tree: ast.Module
    lines: int
    imports: tuple[Import, ...]

    @property
    def app(self) -> str:
        return self.name.partition(".")[0]

    @property
    def room(self) -> str:
        """The name within its app: "" for the app itself, "logic.memory", "queue"."""
        return self.name.partition(".")[2]

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the four packages except migrations."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return tuple(_read(path) for path in paths if "migrations" not in path.parts)


@cache
def names() -> frozenset[str]:
    return frozenset(module.name for module in modules())


def _read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = parts if parts[-1] == "__init__" else parts[:-1]
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text()
    tree = ast.parse(text)
    found = tuple(_imports(tree, tuple(part for part in package if part != "__init__"), typing=False, inner=False))
    return Module(name=name, path=path, tree=tree, lines=text.count("\n"), imports=found)


def _imports(node: ast.AST, package: tuple[str, ...], *, typing: bool, inner: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(target=alias.name, line=child.lineno, typing=typing, inner=inner)
        elif isinstance(child, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - child.level + 1], *([child.module] if child.module else [])))
                if child.level
                else child.module
            )
            for alias in child.names:
                yield Import(target=f"{base}.{alias.name}", line=child.lineno, typing=typing, inner=inner)
        else:
            checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, package, typing=typing or checking, inner=inner or function)


def ours(target: str) -> str | None:
    """The module of ours that `target` names ("cluster.queue.submit" → "cluster.queue"), or None."""
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in names() or (length == 1 and name in PACKAGES):
            return name
    return None


def under(name: str, *roots: str) -> bool:
    """Whether `name` is one of `roots` or inside one."""
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def nothing(wrong: Iterable[str]) -> None:
    """Fail with every line of `wrong`."""
    lines = list(wrong)
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)
