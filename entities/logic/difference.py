"""What is different between two versions of a persona."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Final

LONG: Final = 60
"""Characters from which a text is compared line by line."""

MOST: Final = 1000
"""Lines of a text that are compared at most; the comparison of longer ones would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is not the same. `lines` are those of a unified diff, without its heads: only long texts have them."""

    before: Any
    after: Any
    lines: tuple[str, ...] = ()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Difference]:
    """Field → what it was and what it became, for the fields of both that changed, in the order of `after`."""
    return {
        name: Difference(before=before[name], after=value, lines=_lines(before[name], value))
        for name, value in after.items()
        if name in before and before[name] != value
    }


def _lines(before: Any, after: Any) -> tuple[str, ...]:
    if not (isinstance(before, str) and isinstance(after, str)):
        return ()
    old, new = before.splitlines(), after.splitlines()
    short = len(before) <= LONG and len(after) <= LONG and len(old) <= 1 and len(new) <= 1
    if short or len(old) > MOST or len(new) > MOST:
        return ()
    return tuple(unified_diff(old, new, lineterm="", n=2))[2:]
