"""A JSON value read key by key, with every problem and where it stands: for documents that people write."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from conversations.logic.fence import sound

MOST_PROBLEMS: Final = 20
"""So many problems are told; whoever has made more has made them all alike."""

T = TypeVar("T")


class Unreadable(ValueError):
    """A document that is none; `problems` are sentences, each with its path."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
        super().__init__("; ".join(problems[:MOST_PROBLEMS]) + more)


def load(text: str, where: str) -> Any:
    """JSON text as a tree that can be stored. Raises Unreadable; `where` begins its sentences."""
    try:
        tree = json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as exc:
        raise Unreadable([f"{where} is not JSON (line {exc.lineno}, column {exc.colno}: {exc.msg})"]) from exc
    except (RecursionError, ValueError) as exc:
        raise Unreadable([f"{where} is not JSON that can be used: {str(exc)[:100]}"]) from exc
    return tree


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def called(value: Any) -> str:
    """A JSON value for a sentence."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"


class Reader:
    """One object of a document. Ask for each key; `done` tells what nobody asked for."""

    def __init__(self, value: Any, path: str, problems: list[str]) -> None:
        self.path, self.problems = path, problems
        self._asked: set[str] = set()
        if not isinstance(value, Mapping):
            self.wrong("", f"is {called(value)}; it must be an object")
            value = {}
        self._value: Mapping[str, Any] = value

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def names(self) -> list[str]:
        """All keys of an object whose keys are names."""
        self._asked.update(self._value)
        return [str(key) for key in self._value]

    def wrong(self, key: str, text: str) -> None:
        """A problem with a key, or with the whole ("")."""
        self.problems.append(f"{self.path}.{key} {text}" if key else f"{self.path} {text}")

    def raw(self, key: str) -> Any:
        """Whatever stands there; None if nothing does."""
        self._asked.add(key)
        return self._value.get(key)

    def text(self, key: str, usual: str | None = None, *, longest: int = 200) -> str:
        """A text; without `usual` it must be there, and not be empty."""
        value = self.raw(key)
        if value is None and usual is not None:
            return usual
        if value is None:
            self.wrong(key, "is absent")
        elif not isinstance(value, str) or len(value) > longest or (usual is None and not value.strip()):
            self.wrong(key, f"is {called(value)}; it must be a text of {'1' if usual is None else '0'} to {longest} characters")
        else:
            return sound(value)
        return usual or ""

    def number(self, key: str, usual: float | None = None, *, low: float = 0.0, high: float = 1e9) -> float:
        """A number from `low` to `high`."""
        value = self.raw(key)
        if value is None and usual is not None:
            return usual
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
            self.wrong(key, f"is {called(value)}; it must be a number from {low:g} to {high:g}" if value is not None else "is absent")
            return usual if usual is not None else low
        return value

    def whole(self, key: str, usual: int | None = None, *, low: int = 0, high: int = 2**53) -> int:
        """A whole number."""
        value = self.raw(key)
        if value is None and usual is not None:
            return usual
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.wrong(key, f"is {called(value)}; it must be a whole number from {low} to {high}")
            return usual if usual is not None else low
        return value

    def flag(self, key: str, usual: bool) -> bool:
        """True or false."""
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return usual if value is None else value
        self.wrong(key, f"is {called(value)}; it must be true or false")
        return usual

    def choice(self, key: str, among: Collection[str], usual: str | None = None) -> str:
        """One of several texts."""
        value = self.raw(key)
        if value is None and usual is not None:
            return usual
        if not isinstance(value, str) or value not in among:
            self.wrong(key, f"is {called(value)}; it must be one of {', '.join(among)}" if value is not None else "is absent")
            return usual or next(iter(among))
        return value

    def texts(self, key: str, *, longest: int = 1000, most: int = 1000, empty: bool = False) -> tuple[str, ...]:
        """A list of texts, () if it is absent; `empty`: they may be empty themselves."""
        value = self.raw(key)
        if value is None:
            return ()
        least = 0 if empty else 1
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(one, str) and least <= len(one) <= longest for one in value)
        ):
            self.wrong(key, f"is {called(value)}; it must be a list of at most {most} texts of {least} to {longest} characters")
            return ()
        return tuple(sound(one) for one in value)

    def moment(self, key: str, usual: datetime | None = None) -> datetime | None:
        """A time with its zone, as 2026-11-20T12:00:00Z, or ms since 1970."""
        value = self.raw(key)
        if value is None:
            return usual
        try:
            if isinstance(value, str):
                found = datetime.fromisoformat(value)
                return found if found.tzinfo else found.replace(tzinfo=UTC)
            if isinstance(value, int) and not isinstance(value, bool):
                return datetime.fromtimestamp(value / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            pass
        self.wrong(key, f"is {called(value)}; it must be a time such as 2026-11-20T12:00:00Z, or ms since 1970")
        return usual

    def object(self, key: str) -> "Reader":
        """An object, empty if it is absent."""
        value = self.raw(key)
        return Reader({} if value is None else value, f"{self.path}.{key}", self.problems)

    def objects(self, key: str, *, most: int = 1000) -> "list[Reader]":
        """A list of objects."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > most:
            self.wrong(key, f"is {called(value)}; it must be a list of at most {most} objects")
            return []
        return [Reader(one, f"{self.path}.{key}[{index}]", self.problems) for index, one in enumerate(value)]

    def done(self, known: Iterable[str] = ()) -> None:
        """Whatever nobody asked for is a problem; `known` are keys that may stand there all the same."""
        for key in self._value:
            if key not in self._asked and key not in known and not key.startswith("_"):
                self.wrong(str(key)[:60], f"is unknown; known are {', '.join(sorted({*self._asked, *known}))}")
