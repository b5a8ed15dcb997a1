"""Texts as they are compared: folded, and cut into tokens, so that a name is found however it is written and never inside a word.

Folding is Unicode's NFKC and case folding; marks that nobody sees go, and there is one apostrophe, one hyphen, one kind of space.
A token is a word, a single sign, or a space. Scripts that are written without spaces give one token for each character; of a Hangul
run the first syllable is told from the others, because particles follow a name there and nothing precedes it.
Everything here takes time in proportion to the text.
"""

import re
from collections.abc import Sequence
from typing import Final
from unicodedata import category, normalize

_UNSEEN: Final = dict.fromkeys(
    [0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10), 0xFEFF]
)
"""Soft hyphens, joiners, marks of direction, variation selectors."""

_ONE: Final[dict[int, int | None]] = {
    **_UNSEEN,
    **dict.fromkeys((0x2018, 0x2019, 0x201B, 0x2BC, 0xB4, 0x60, 0xFF07), ord("'")),
    **dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0xFE58], ord("-")),
}

PIECE: Final = 500
"""Normalising takes quadratic time in a run of combining marks, so no longer piece is normalised at once."""

_PIECES: Final = re.compile(rf"\S{{1,{PIECE}}}|\s+")


def _marks() -> str:
    """The combining marks of the basic plane as ranges of a regular expression; `\\w` does not know them."""
    codes = [code for code in range(0x300, 0x10000) if category(chr(code))[0] == "M"]
    starts = [code for last, code in zip([-1, *codes[:-1]], codes, strict=True) if code != last + 1]
    ends = [code for code, following in zip(codes, [*codes[1:], -1], strict=True) if following != code + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


MARKS: Final = _marks()
WIDE: Final = "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2-\u0eb3\u0ec0-\u0ec6\u1000-\u102a\u1780-\u17b3\u3005-\u3007\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, Khmer, hiragana, Han: written without spaces."""
KATAKANA: Final = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
HANGUL: Final = "\uac00-\ud7a3"

_TOKEN: Final = re.compile(rf"[{HANGUL}]+|[{WIDE}][{MARKS}]*|[{KATAKANA}{MARKS}]+|(?:[^\W{WIDE}{KATAKANA}{HANGUL}]|[{MARKS}])+|\s+|[^\w\s]")
_GLUED: Final = re.compile(rf"[^\W{WIDE}{KATAKANA}{HANGUL}]")
_FIRST: Final = "\x02"
"""Before the first syllable of a Hangul run."""

LINK: Final = re.compile(r"(?:https?://|www\.)\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.\w+", re.IGNORECASE)
"""Addresses of pages and people: what stands in them is not said to anybody."""


def folded(text: str) -> str:
    """`text` as it is compared."""
    if text.isascii():
        return " ".join(text.replace("`", "'").lower().split())
    seen = text.translate(_ONE)
    if len(seen) <= PIECE:
        return " ".join(_normal(seen).split())
    return " ".join("".join([_normal(piece) for piece in _PIECES.findall(seen)]).split())


def _normal(text: str) -> str:
    return normalize("NFKC", normalize("NFKC", text).casefold()).translate(_ONE)


def plain(text: str) -> str:
    """`text` without links."""
    return LINK.sub(" ", text) if "://" in text or "@" in text or "www." in text.lower() else text


def tokens(there: str) -> list[str]:
    """The tokens of a folded text; white space is a token of its own, always " "."""
    found: list[str] = _TOKEN.findall(there)
    if there.isascii():
        return found
    cut: list[str] = []
    for token in found:
        if "\uac00" <= token[0] <= "\ud7a3":
            cut.append(_FIRST + token[0])
            cut.extend(token[1:])
        else:
            cut.append(token)
    return cut


def glued(token: str) -> bool:
    """Whether a sign beside this token belongs to it: whether it is a word of a script with spaces."""
    return _GLUED.match(token) is not None


def worded(found: Sequence[str]) -> list[str]:
    """The tokens that are words: no spaces, no signs."""
    return [token for token in found if token[0].isalnum() or token[0] == _FIRST or len(token) > 1]
