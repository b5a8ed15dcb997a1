"""How much one post says what another said.

Two texts are compared by their words and by their pairs of neighbouring words: twice what they share, by what they have together
(the coefficient of Sørensen and Dice over both bags). So neither order nor an added word hides a repeat, and a short text that stands in
a long one is none. Scripts without spaces count characters as words. Case, marks and signs do not matter; only equal words in equal
order are 1.0. Texts without any word, such as a row of emoji, are alike only if they are equal.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from conversations.logic.words import folded, tokens, worded

Bag = Counter[object]


def similarity(one: str, other: str) -> float:
    """0 … 1."""
    return _alike(_words(one), _words(other))


def closest(text: str, others: Iterable[str]) -> tuple[float, str]:
    """The highest similarity to one of `others`, and that one; 0 and nothing if there are none."""
    words = _words(text)
    return max(((_alike(words, _words(other)), other) for other in others), default=(0.0, ""), key=lambda found: found[0])


def _words(text: str) -> tuple[str, ...]:
    there = folded(text)
    return tuple(worded(tokens(there))) or ((there,) if there else ())


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    if one == other:
        return 1.0
    mine, theirs = _bag(one), _bag(other)
    together = mine.total() + theirs.total()
    return min(0.99, 2 * (mine & theirs).total() / together) if together else 0.0


def _bag(words: tuple[str, ...]) -> Bag:
    bag: Bag = Counter(words)
    bag.update(pairwise(words))
    return bag
