"""What a text is about: the words that are said in it and not everywhere around it, and whose interests they fit.

A term is a word of at least two letters that is no stop word, or a pair of Han characters. Its weight is the product of

* how often the text says it: 0.5 + 0.5 × count ÷ the greatest count of any term;
* how rarely the lines before it say it: ln((1 + M) ÷ (1 + n)) ÷ ln(1 + M) where n of the N lines of the background hold the term and
  M = N + 10. So it is 1 for what is new, and 0 for what every line says; the 10 keep a short background from silencing a topic
  that two people have just begun.

Words are compared by their stems: what is left when the commonest endings of the European languages are cut off. That is coarse and
meant to be: philosophy, philosophers and philosophical are one term; so are some words that should not be.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import log
from typing import Final

from conversations.logic.stopwords import STOPWORDS
from conversations.logic.words import folded, plain, tokens

PRIOR: Final = 10
"""Lines that every background is thought to have besides, in which nothing was said."""

MOST: Final = 24
"""Topics of one text."""

HEARD: Final = 1000
"""Characters of a text that are looked at: the longest that a backend keeps."""

SHORTEST: Final = 2
BEHIND: Final = 4
"""Letters of a word behind an apostrophe."""
ROOT: Final = 4
"""Letters that a stem keeps."""

_ENDINGS: Final = (
    "ically", "ations", "ation", "ingly", "ments", "ities", "ungen", "keiten", "lichen", "ische", "ischen", "ments", "mente", "ción",
    "ciones", "ções", "zioni", "zione", "ical", "ness", "ment", "able", "ible", "less", "ship", "isms", "ists", "ians", "keit", "heit",
    "lich", "isch", "ung", "ism", "ist", "ian", "ers", "ies", "ied", "ing", "ity", "ers", "ful", "ous", "ive", "ant", "ção", "ique",
    "iques", "ями", "ами", "ого", "его", "ому", "ему", "ыми", "ими", "ость", "ости", "ией", "ов", "ев", "ей", "ой", "ый", "ий", "ая",
    "яя", "ое", "ее", "ые", "ие", "ам", "ям", "ах", "ях", "ом", "ем", "ию", "ия", "al", "ic", "ed", "er", "es", "ly", "en", "em", "os",
    "as", "ie", "ia", "ja", "ów", "om", "ów", "ach", "ami", "y", "s", "e", "n", "a", "o", "i", "и", "ы", "а", "у", "е", "ь", "я", "ю",
)  # fmt: skip
_BY_LAST: Final[Mapping[str, tuple[str, ...]]] = {
    last: tuple(sorted((ending for ending in dict.fromkeys(_ENDINGS) if ending[-1] == last), key=len, reverse=True))
    for last in {ending[-1] for ending in _ENDINGS}
}


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The beginning of a folded word that its relatives share; at least four letters."""
    if len(word) > 40:
        return word[:40]
    while True:
        ending = next((e for e in _BY_LAST.get(word[-1:], ()) if word.endswith(e) and len(word) - len(e) >= ROOT), "")
        if not ending:
            return word
        word = word[: -len(ending)]


@lru_cache(maxsize=1024)
def terms(text: str) -> Mapping[str, tuple[str, int]]:
    """Stem → the word as it was said first and how often it was said."""
    found: dict[str, tuple[str, int]] = {}
    for word in _words(tokens(folded(plain(text[:HEARD])))):
        root = stem(word)
        said, count = found.get(root, (word, 0))
        found[root] = said, count + 1
    return found


def _words(spoken: Sequence[str]) -> Iterator[str]:
    """The words that may be terms: Han characters in pairs, everything else whole; not the `ll` of `you'll` or the `ai` of `j'ai`."""
    before = ""
    for token in spoken:
        if _han(token):
            if _han(before):
                yield before + token
        elif token[0].isalpha() and token not in STOPWORDS and len(token) >= (BEHIND if before == "'" else SHORTEST):
            yield token
        before = token


def _han(token: str) -> bool:
    return "\u3400" <= token[:1] <= "\u9fff" or token[:1] >= "\U00020000"


def topics(text: str, background: Iterable[str]) -> tuple[tuple[str, float], ...]:
    """The terms of `text` with their weights, 0 … 1, against the texts before it; the strongest first, at most MOST."""
    here = terms(text[:HEARD])
    if not here:
        return ()
    lines = 0
    said: Counter[str] = Counter()
    for other in background:
        lines += 1
        there = terms(other[:HEARD])
        said.update(here.keys() & there.keys())
    whole = log(1 + lines + PRIOR)
    most = max(count for _, count in here.values())
    weighed = [(word, round((0.5 + 0.5 * count / most) * (whole - log(1 + said[root])) / whole, 3)) for root, (word, count) in here.items()]
    weighed.sort(key=lambda pair: (-pair[1], pair[0]))
    return tuple(pair for pair in weighed[:MOST] if pair[1] > 0)


class Interests:
    """Who is interested in what: phrases by the stems of their words. Made once, then only read."""

    __slots__ = ("_phrases",)

    def __init__(self, interests: Iterable[tuple[str, Sequence[str]]]) -> None:
        phrases: dict[tuple[str, ...], dict[str, None]] = {}
        for slug, each in interests:
            for interest in each:
                if key := _key(interest):
                    phrases.setdefault(key, {})[slug] = None
        self._phrases: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
        for key, slugs in phrases.items():
            self._phrases.setdefault(key[0], []).append((key, tuple(slugs)))

    def fitting(self, about: Sequence[tuple[str, float]]) -> dict[str, float]:
        """Slug → 0 … 1: an interest fits as well as the weakest of its words; several count together, as chances do.

        Every word of an interest must be among the topics.
        """
        weights: dict[str, float] = {}
        for word, weight in about:
            root = stem(word)
            weights[root] = max(weight, weights.get(root, 0.0))
        unfit: dict[str, float] = {}
        for root in weights:
            for key, slugs in self._phrases.get(root, ()):
                fit = min((weights.get(part, 0.0) for part in key), default=0.0)
                if fit > 0:
                    for slug in slugs:
                        unfit[slug] = unfit.get(slug, 1.0) * (1.0 - fit)
        return {slug: round(1.0 - rest, 3) for slug, rest in unfit.items()}


def _key(interest: str) -> tuple[str, ...]:
    """The stems of an interest's words; an interest that is made of stop words fits nothing."""
    return tuple(dict.fromkeys(stem(word) for word in _words(tokens(folded(interest)))))
