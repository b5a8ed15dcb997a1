"""Finds many names in a text at once: one automaton over its tokens, whose cost does not depend on how many names there are.

The names form a tree of tokens. From each token of the text the tree is followed as far as it goes, which is no farther than the
longest name; the longest name that ends on the way wins, and the search goes on behind it. So `Ann Marie` does not call Ann.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Generic, TypeVar

from conversations.logic.words import folded, glued, tokens

T = TypeVar("T")

LONGEST: Final = 64
"""Tokens of a name; no chat shows a longer one."""


class _Node(Generic[T]):
    __slots__ = ("after", "values")

    def __init__(self) -> None:
        self.after: dict[str, _Node[T]] = {}
        self.values: list[T] = []


class Names(Generic[T]):
    """Names with values; a name may have several. Made once, then only read."""

    __slots__ = ("_root",)

    def __init__(self, names: Iterable[tuple[str, T]]) -> None:
        self._root: _Node[T] = _Node()
        for name, value in names:
            self._add(tokens(folded(name)), value)

    def _add(self, words: Sequence[str], value: T) -> None:
        if not words or len(words) > LONGEST:
            return
        node = self._root
        for word in words:
            node = node.after.setdefault(word, _Node())
        node.values.append(value)

    def found(self, text: Sequence[str]) -> Iterator[T]:
        """The values of the names in `text` (tokens of a folded text), in its order; those of each name only once."""
        first = self._root.after
        met: set[int] = set()
        at, end = 0, len(text)
        while at < end:
            if text[at] not in first:
                at += 1
                continue
            node, behind = self._longest(text, at)
            if node is None:
                at += 1
                continue
            at = behind
            if id(node) not in met:
                met.add(id(node))
                yield from node.values

    def _longest(self, text: Sequence[str], begin: int) -> tuple[_Node[T] | None, int]:
        """The longest name that begins there, and what comes behind it."""
        if begin and not glued(text[begin]) and _sign(text[begin]) and glued(text[begin - 1]):
            return None, begin
        best: _Node[T] | None = None
        node, at, behind = self._root, begin, begin
        while at < len(text) and (following := node.after.get(text[at])):
            node, at = following, at + 1
            if node.values and not (_sign(text[at - 1]) and at < len(text) and glued(text[at])):
                best, behind = node, at
        return best, behind


def _sign(sign: str) -> bool:
    """Whether a token is a sign: then a word beside it, if it is not part of the name, makes it part of something else."""
    return len(sign) == 1 and not sign.isalnum() and sign != "_"
