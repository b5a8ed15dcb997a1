"""The kinds of values a file may hold: each reads a JSON value into a column's value, and shows a column's value as JSON.

A kind's `read` takes the JSON value and `note`, to which it may tell a warning; it raises `Wrong` with the rest of a sentence that
began with the path ("is 'abc', a text; it must be …").
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

Note = Callable[[str], None]

NAMES: Final = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", type(None): "null"}


class Wrong(Exception):
    """A value of the wrong type, or an impossible one."""


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one value is read, shown and described (`words`: "a whole number from 1 to 20")."""

    words: str
    read: Callable[[Any, Note], Any]
    show: Callable[[Any], Any] = _same


def called(value: Any) -> str:
    """A JSON value for a sentence: short, with its type."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return f"{text[:60]}{'…' if len(text) > 60 else ''} ({NAMES[type(value)]})"


def _wrong(value: Any, words: str) -> Wrong:
    return Wrong(f"is {called(value)}; it must be {words}")


def nullable(kind: Kind, empty: Any = None) -> Kind:
    """`kind`, or null for `empty`; `empty` is shown as null."""
    words = f"{kind.words}, or null"

    def read(value: Any, note: Note) -> Any:
        if value is None:
            return empty
        try:
            return kind.read(value, note)
        except Wrong as exc:
            raise Wrong(str(exc).replace(kind.words, words)) from exc

    return Kind(words=words, read=read, show=lambda value: None if value == empty else kind.show(value))


def text(limit: int, *, empty: bool = True) -> Kind:
    """A text of at most `limit` characters, without space around it."""
    words = f"a text of {'at most' if empty else '1 to'} {limit} characters"

    def read(value: Any, note: Note) -> str:
        if not isinstance(value, str):
            raise _wrong(value, words)
        bare: str = value.strip()
        if len(bare) > limit or not (bare or empty):
            raise _wrong(value, words)
        return bare

    return Kind(words=words, read=read)


def _read_prose(value: Any, note: Note) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "a text")
    return value


def _read_flag(value: Any, note: Note) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "true or false")
    return value


def _read_texts(value: Any, note: Note) -> tuple[str, ...]:
    words = "a list of texts"
    if not isinstance(value, list):
        raise _wrong(value, words)
    for index, each in enumerate(value):
        if not isinstance(each, str) or not each:
            raise Wrong(f"has {called(each)} at [{index}]; it must be {words}, none of them empty")
    return tuple(value)


def _show_texts(value: Any) -> list[str]:
    """Only what can be read again: a JSON column may hold anything that somebody typed."""
    return [each for each in value if isinstance(each, str) and each] if isinstance(value, list | tuple) else []


def _read_list(value: Any, note: Note) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise _wrong(value, "a list of objects")
    for index, each in enumerate(value):
        if not isinstance(each, dict):
            raise Wrong(f"has {called(each)} at [{index}]; it must be a list of objects")
    return value


def _read_object(value: Any, note: Note) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, "an object")
    return value


PROSE: Final = Kind(words="a text", read=_read_prose)
"""A text of any length, kept as it is."""

FLAG: Final = Kind(words="true or false", read=_read_flag)
TEXTS: Final = Kind(words="a list of texts", read=_read_texts, show=_show_texts)
OBJECT: Final = Kind(words="an object", read=_read_object)
LIST: Final = Kind(words="a list of objects", read=_read_list)


def choice(*values: str) -> Kind:
    """One of a few words."""
    words = " or ".join(f'"{value}"' for value in values)

    def read(value: Any, note: Note) -> str:
        if not isinstance(value, str) or value not in values:
            raise _wrong(value, words)
        return value

    return Kind(words=words, read=read)


def _number(value: Any, words: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, words)
    return value


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`; 3.0 is one."""
    words = f"a whole number from {low} to {high}"

    def read(value: Any, note: Note) -> int:
        number = _number(value, words)
        if number != int(number) or not low <= number <= high:
            raise _wrong(value, words)
        return int(number)

    return Kind(words=words, read=read)


def real(low: float, high: float, *, above: bool = False) -> Kind:
    """A number from `low` (or, with `above`, just above it) to `high`."""
    words = f"a number {'above' if above else 'from'} {low:g} {'and at most' if above else 'to'} {high:g}"

    def read(value: Any, note: Note) -> float:
        number = _number(value, words)
        if not low <= number <= high or (above and number == low):
            raise _wrong(value, words)
        return float(number)

    return Kind(words=words, read=read, show=shown)


def millis(*, zero: bool = False) -> Kind:
    """A time in milliseconds, up to 30 days; kept in seconds, to the microsecond, so that what is shown is read as the same again."""
    words = f"a time in milliseconds, {'0' if zero else '1'} to {MONTH_MS}"

    def read(value: Any, note: Note) -> float:
        number = _number(value, words)
        if not (0 if zero else 1) <= number <= MONTH_MS:
            raise _wrong(value, words)
        return float(round(Decimal(repr(number)) / 1000, 6))

    return Kind(words=words, read=read, show=lambda seconds: shown(float(round(Decimal(repr(seconds)), 6) * 1000)))


MONTH_MS: Final = 30 * 24 * 3600 * 1000


def shown(number: float | None) -> float | int | None:
    """A number as people write it: 3.0 is 3."""
    return int(number) if number is not None and float(number).is_integer() else number
