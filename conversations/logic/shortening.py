"""Where a text may end: at a sentence, otherwise at a word, never inside of what people see as one character.

Sentences end at the marks of several scripts; a full stop ends none behind a title, a single letter or a number in a list, as in
`Dr. Who`, `z.B.` or `2. Bread`. Lengths are UTF-16 units, as the feed counts.
"""

import re
from collections.abc import Iterator
from typing import Final
from unicodedata import category

_CLOSING: Final = "[\"'”’»)\\]」』）*_]"
_SENTENCE: Final = re.compile(rf"[.!?…؟؛۔।॥։።]++{_CLOSING}{{0,4}}+(?=\s|\Z)|[。！？｡]++{_CLOSING}{{0,4}}+|(?<=\S)\n")
_WORD: Final = re.compile(r"[^\s(\[\"'“„«*_]+\Z")
_OPEN: Final = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "e.g", "i.e", "eg", "ie", "cf", "ca", "approx", "nr", "fig")
) | frozenset(("hr", "fr", "bzw", "usw", "z.b", "d.h", "u.a", "evtl", "ggf", "mme", "mlle", "sra", "dra", "ud", "г", "т.е", "т.д"))
"""Words whose full stop is part of them."""

_PAIR: Final = range(0x1F1E6, 0x1F200)
"""Letters of which two make a flag."""
_TONES: Final = range(0x1F3FB, 0x1F400)
_JOINER: Final = "\u200d"
_LONGEST_CHARACTER: Final = 40
"""Code points; whatever is longer is made to annoy."""


def units(text: str) -> int:
    """Length as the feed counts: UTF-16 units."""
    return len(text) if text.isascii() else len(text) + sum(1 for char in text if ord(char) > 0xFFFF)


def shortened(text: str, limit: int) -> str:
    """At most `limit` (at least 1) UTF-16 units, ending at a sentence if one ends in the second half, otherwise at a word, with an ellipsis."""
    if units(text) <= limit:
        return text
    kept = text[: _fitting(text, limit)]
    end = _last_end(text, len(kept))
    if end >= max(1, len(kept) // 2):
        return kept[:end].rstrip()
    room = _fitting(text, limit - 1)
    cut = room if text[room : room + 1].isspace() else text[:room].rfind(" ")
    cut = cut if cut >= max(1, len(kept) // 2) else _whole(text, room)
    return text[:cut].rstrip(" \n,;:-–(.") + "…"


def complete(text: str) -> str:
    """Without an unfinished sentence at its end, if a sentence ends in its second half."""
    end = _last_end(text, len(text))
    return text[:end].rstrip() if end >= max(1, len(text) // 2) else text


def _fitting(text: str, limit: int) -> int:
    """How many characters of `text` are at most `limit` units."""
    used = 0
    for at, char in enumerate(text):
        used += 2 if ord(char) > 0xFFFF else 1
        if used > limit:
            return at
    return len(text)


def _last_end(text: str, most: int) -> int:
    """Where the last sentence ends within the first `most` characters; 0 for none."""
    return max(_ends(text, most), default=0)


def _ends(text: str, most: int) -> Iterator[int]:
    for found in _SENTENCE.finditer(text, 0, min(len(text), most + 1)):
        if found.end() <= most and not (text[found.start()] == "." and found.end() == found.start() + 1 and _open(text[: found.start()])):
            yield found.end()


def _open(before: str) -> bool:
    """Whether the word before a full stop is one that goes on behind it."""
    word = _WORD.search(before[-20:])
    if word is None:
        return True
    name = word.group().lower()
    first = before[: len(before) - len(word.group())].rstrip(" ")
    return name in _OPEN or (len(name) == 1 and name.isalpha() and name != "i") or (name.isdigit() and (not first or first[-1] in "\n.!?:"))


def _whole(text: str, at: int) -> int:
    """The last place up to `at` that is not inside of one visible character."""
    for place in range(at, max(0, at - _LONGEST_CHARACTER), -1):
        if _between(text, place):
            return place
    return at


def _between(text: str, at: int) -> bool:
    if at >= len(text):
        return True
    char, last = text[at], text[at - 1]
    if category(char)[0] == "M" or char == _JOINER or last == _JOINER or ord(char) in _TONES or 0xE0020 <= ord(char) <= 0xE007F:
        return False
    if ord(char) in _PAIR and ord(last) in _PAIR:
        run = 0
        while run < at and ord(text[at - 1 - run]) in _PAIR and run < _LONGEST_CHARACTER:
            run += 1
        return run % 2 == 0
    return True
