"""What persona and policy want out of an answer: phrases deleted, an end at a marker, line breaks and spaces; and quotes around it."""

import re
from collections.abc import Iterable
from typing import Final

_RUN: Final = re.compile(r"[^\S\n]+")
_ROUND: Final = re.compile(r"[^\S\n]*\n[^\S\n]*")
_GAP: Final = re.compile(r"\n{3,}")
_FOLD: Final = re.compile(r"\s*\n\s*")
_QUOTES: Final = {'"': '"', "“": "”", "„": "“", "«": "»", "»": "«", "「": "」", "『": "』", "'": "'", "‘": "’"}


def without(text: str, phrases: Iterable[str]) -> str:
    """`text` without these phrases, also without those that come to be when another is deleted.

    What has been read never holds a phrase: whenever it ends with one, that goes, and reading continues.
    """
    wanted = sorted({phrase for phrase in phrases if phrase}, key=len, reverse=True)
    if not any(phrase in text for phrase in wanted):
        return text
    ends = {phrase[-1] for phrase in wanted}
    longest = len(wanted[0])
    read: list[str] = []
    for char in text:
        read.append(char)
        if char in ends:
            tail = "".join(read[-longest:])
            found = next((phrase for phrase in wanted if tail.endswith(phrase)), "")
            if found:
                del read[-len(found) :]
    return "".join(read)


def until(text: str, markers: Iterable[str]) -> str:
    """`text` up to the earliest of these markers."""
    ends = [at for marker in markers if marker and (at := text.find(marker)) >= 0]
    return text[: min(ends)] if ends else text


def folded(text: str) -> str:
    """`text` in one line."""
    return _FOLD.sub(" ", text.strip())


def first(text: str) -> str:
    """The first line of `text` that is not blank."""
    return text.strip().partition("\n")[0].rstrip()


def spaced(text: str) -> str:
    """`text` with single spaces, none at the ends of lines, and at most one blank line at once."""
    return _GAP.sub("\n\n", _ROUND.sub("\n", _RUN.sub(" ", text))).strip()


def unquoted(text: str) -> str:
    """`text` without quotation marks that stand around the whole of it."""
    while len(text) > 2 and (closing := _QUOTES.get(text[0])) and text[-1] == closing:
        inner = text[1:-1]
        if text[0] in inner or closing in inner or not inner.strip():
            break
        text = inner.strip()
    return text
