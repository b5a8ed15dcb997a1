"""Text → tree: strict JSON.

Beyond the standard library's reader: no NaN, no infinities, no key twice, no text that a database cannot hold, nothing nested
deeper than `DEPTH`. Two things are passed over with a warning, because the design document's own example has them: comments, and the
comma after a last member that is left when the comments are taken out.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from swwbot_site.config.problems import Findings, failure, listed, step

DEPTH: Final = 40
"""How deep objects and lists may be nested; the formats need 4."""

WHOLE: Final = 1e16
"""From here on a number with a point or exponent is read as a whole number, as a JSON column gives it back."""


_TEXT: Final = r'"(?:[^"\\]|\\.)*"'
_COMMENT: Final = re.compile(_TEXT + r"|(?P<odd>//[^\n]*|/\*.*?\*/)", re.DOTALL)
_COMMA: Final = re.compile(_TEXT + r"|(?P<odd>,)(?=\s*[}\]])", re.DOTALL)


class Members(dict[str, Any]):
    """A JSON object that remembers which keys stood twice in it."""

    twice: tuple[str, ...] = ()


def load(text: str | bytes, findings: Findings) -> Any:
    """The tree of a JSON text. Raises DocumentError with line and column, or with the paths of what is wrong."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        tree = _read(text.removeprefix("\ufeff"), findings)
    except UnicodeDecodeError as exc:
        raise failure("$", f"is not UTF-8 text (byte {exc.start})") from exc
    except json.JSONDecodeError as exc:
        raise failure("$", f"is not JSON, line {exc.lineno} column {exc.colno}: {exc.msg}") from exc
    except RecursionError as exc:
        raise failure("$", f"is nested deeper than {DEPTH} levels") from exc
    except ValueError as exc:
        raise failure("$", f"is not JSON that can be used: {exc}") from exc
    for path, depth, value in _walk(tree):
        _check(path, depth, value, findings)
    findings.settle()
    return tree


def _read(text: str, findings: Findings) -> Any:
    try:
        return _decoded(text)
    except json.JSONDecodeError:
        bare = _blanked(_COMMENT, text, "a comment", findings)
        bare = _blanked(_COMMA, bare, "a comma after the last member", findings)
        if bare == text:
            raise
        return _decoded(bare)


def _decoded(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_members, parse_float=_real, parse_constant=_constant)


def _blanked(pattern: re.Pattern[str], text: str, what: str, findings: Findings) -> str:
    """`text` with what the pattern's group finds turned to spaces, so that lines and columns stay."""
    lines: list[str] = []

    def blank(found: re.Match[str]) -> str:
        if found["odd"] is None:
            return found[0]
        lines.append(str(text.count("\n", 0, found.start()) + 1))
        return re.sub(r"[^\n]", " ", found[0])

    bare = pattern.sub(blank, text)
    if lines:
        findings.warn(
            "$", f"has {what} in line {listed(lines[:10])}{', …' if len(lines) > 10 else ''}, passed over; other readers of JSON refuse it"
        )
    return bare


def _members(pairs: list[tuple[str, Any]]) -> Members:
    members = Members(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        members.twice = tuple(dict.fromkeys(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return members


def _real(text: str) -> float | int:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return int(Decimal(repr(value))) if value.is_integer() and abs(value) >= WHOLE else value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a number JSON knows")


def _walk(tree: Any) -> Iterator[tuple[str, int, Any]]:
    """Every value with its path and depth, parents first, in the order of the file; stops going down at DEPTH."""
    waiting = [("$", 0, tree)]
    while waiting:
        path, depth, value = waiting.pop()
        yield path, depth, value
        if depth > DEPTH:
            continue
        if isinstance(value, dict):
            waiting.extend((step(path, key), depth + 1, value[key]) for key in reversed(value))
        elif isinstance(value, list):
            waiting.extend((step(path, index), depth + 1, value[index]) for index in reversed(range(len(value))))


def _check(path: str, depth: int, value: Any, findings: Findings) -> None:
    if depth > DEPTH:
        findings.error(path, f"is nested deeper than {DEPTH} levels")
    if isinstance(value, Members):
        for key in value.twice:
            findings.error(step(path, key), "is given twice; keep one")
        for key in value:
            if _unstorable(key):
                findings.error(path, f"has the key {key!r}, with a character that cannot be stored")
    elif isinstance(value, str) and _unstorable(value):
        findings.error(path, "has a character that cannot be stored: U+0000, or half of a surrogate pair")


def _unstorable(text: str) -> bool:
    return "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text)
