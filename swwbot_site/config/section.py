"""One JSON object read by a table of fields, and shown by the same table.

A field without a column has no effect, and says why; a column that starts with `_` is worked out further by the reader of that
object and is not shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from swwbot_site.config.kinds import OBJECT, Kind, Wrong, called
from swwbot_site.config.problems import Findings, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of an object. `key` is dotted for nested objects; `dead` is why the value has no effect, for a warning."""

    key: str
    column: str = ""
    kind: Kind = OBJECT
    dead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an object says: `said` column → value, `rest` what has no column, nested as in the file."""

    said: dict[str, Any]
    rest: dict[str, Any]


def read(fields: Sequence[Field], raw: Mapping[str, Any], path: str, findings: Findings, *, also: Iterable[str] = ()) -> Reading:
    """Read an object by its table; unknown and dead keys become warnings, wrong values errors.

    `also` are keys that others read: they are only offered where an unknown key may be a slip of the pen.
    """
    reading = Reading(said={}, rest={})
    table = {field.key: field for field in fields}
    _level(table, raw, path, "", reading, findings, also)
    return reading


def _level(
    table: Mapping[str, Field], raw: Mapping[str, Any], path: str, prefix: str, into: Reading, findings: Findings, also: Iterable[str] = ()
) -> None:
    siblings = {key[len(prefix) :].partition(".")[0] for key in table if key.startswith(prefix)}
    for key, value in raw.items():
        here, field = step(path, key), table.get(prefix + key)
        if field is not None and field.column:
            _value(field, value, here, into.said, findings)
        elif field is not None:
            findings.warn(here, f"has no effect: {field.dead}")
            into.rest[key] = value
        elif key in siblings and not isinstance(value, dict):
            findings.error(here, f"is {called(value)}; it must be an object")
        elif key in siblings:
            deeper = Reading(said=into.said, rest={})
            _level(table, value, here, f"{prefix}{key}.", deeper, findings)
            if deeper.rest:
                into.rest[key] = deeper.rest
        else:
            into.rest[key] = value
            if not key.startswith("_"):
                findings.warn(here, f"is unknown and has no effect{_guess(key, {*siblings, *also})}")


def _value(field: Field, value: Any, path: str, said: dict[str, Any], findings: Findings) -> None:
    try:
        said[field.column] = field.kind.read(value, lambda text: findings.warn(path, text))
    except Wrong as exc:
        findings.error(path, str(exc))
        return
    if field.dead:
        findings.warn(path, f"is kept, but has no effect: {field.dead}")


def _guess(key: str, known: Iterable[str]) -> str:
    close = get_close_matches(key, sorted(known), n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def show(fields: Sequence[Field], row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the object `read` would read, in the order of the table."""
    raw: dict[str, Any] = {}
    for field in fields:
        if not field.column or field.column.startswith("_"):
            continue
        *groups, key = field.key.split(".")
        level = raw
        for group in groups:
            level = level.setdefault(group, {})
        level[key] = field.kind.show(row[field.column])
    return raw


def merged(raw: Mapping[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    """`raw` with what `rest` has besides, sorted, at the end of each level; on a clash `raw` wins."""
    both = dict(raw)
    for key in sorted(rest):
        if key not in both:
            both[key] = rest[key]
        elif isinstance(both[key], dict) and isinstance(rest[key], dict):
            both[key] = merged(both[key], rest[key])
    return both
