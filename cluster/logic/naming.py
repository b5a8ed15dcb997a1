"""Which model people mean by a name that no server spells exactly so.

`gemma-3-27b` is `google/gemma-3-27b`, and the other way round; `the-eternal@f16` is `the-eternal`, unless the server has the
quantizations apart: then only that one. Letter case never counts.
"""

from collections.abc import Iterable

from cluster.lmstudio.names import canonical


def meant(wanted: str, names: Iterable[str]) -> bool:
    """Whether `wanted` means the model that is known by `names` (its key and aliases)."""
    known = [name.casefold() for name in names]
    asked = wanted.casefold()
    if asked in known:
        return True
    if "@" in asked and any("@" in name for name in known):
        return False  # its quantizations are told apart, and this is none of them
    return any(_tail(canonical(asked), canonical(name)) for name in known)


def _tail(one: str, other: str) -> bool:
    """Equal, or equal but for a publisher that only one of them names."""
    if one == other:
        return True
    return ("/" in one) != ("/" in other) and one.rpartition("/")[2] == other.rpartition("/")[2]
