"""The habits of JavaScript that the backends show: truth, numbers, slices, UTF-16 lengths."""

import math
import random
import re
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_SPACES = re.compile("[\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]+")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def truthy(value: object) -> bool:
    """What `if (value)` means: an empty list is true, an empty string, 0 and NaN are not."""
    if isinstance(value, list | dict):
        return True
    return bool(value) and value == value


def parse_int(text: str) -> float:
    """`parseInt(text)`: the leading whole number, or NaN."""
    found = re.match(r"\s*([+-]?\d+)", text)
    return int(found[1]) if found else math.nan


def number(value: object) -> float:
    """`Number(value)` as far as comparisons need it; NaN for what is none."""
    if value is None:
        return 0
    if isinstance(value, str | int | float):
        try:
            return float(value or 0)
        except ValueError:
            return math.nan
    return math.nan


def slice_(items: Sequence[Item], start: float, end: float) -> list[Item]:
    """`items.slice(start, end)`; NaN counts as 0."""
    first, last = (0 if math.isnan(one) else int(one) for one in (start, end))
    return list(items[first:last])


def fold(text: str) -> str:
    """Trimmed, every run of white space one space."""
    return _SPACES.sub(" ", text).strip(" ")


def cut(text: str, limit: int) -> str:
    """`text.slice(0, limit)`: in UTF-16 units, through the middle of a character if it comes so."""
    return text.encode("utf-16-le", "surrogatepass")[: limit * 2].decode("utf-16-le", "surrogatepass")


def base36(dice: random.Random, length: int) -> str:
    """Random characters of [0-9a-z]."""
    return "".join(dice.choice(_DIGITS) for _ in range(length))
