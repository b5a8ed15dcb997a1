"""Names of models and instances: which spellings mean the same model."""

import re
from collections.abc import Iterable
from urllib.parse import quote

_COPY = re.compile(r":(?:\d+|latest)$")
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{3,4}|latest)$")


def canonical(name: str) -> str:
    """The bare model key, folded: `Google/Gemma-3-4B@q4_k_m:2` becomes `google/gemma-3-4b`, `gemma3:latest` `gemma3`."""
    return _COPY.sub("", name.strip()).partition("@")[0].casefold()


def same(one: str, other: str) -> bool:
    """Whether two names mean one model: equal as written, or equal without `:N`, `:latest`, `@variant` and letter case."""
    return one == other or canonical(one) == canonical(other)


def known(name: str, wanted: Iterable[str]) -> bool:
    """Whether `name`, as a server wrote it, is one of the wanted names."""
    return any(same(name, each) for each in wanted)


def dated(name: str, wanted: Iterable[str]) -> bool:
    """The same for clouds, which answer for `gpt-4o` as `gpt-4o-2024-08-06`: a snapshot of a wanted name is one too."""
    names = tuple(wanted)
    return known(name, names) or known(_SNAPSHOT.sub("", name), names)


def quoted(key: str) -> str:
    """A model key as one path segment: `/` becomes `%2F`."""
    return quote(key, safe="")
