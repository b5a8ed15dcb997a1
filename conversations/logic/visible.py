"""Only what people can see and a feed can keep: no control characters, no halves of characters, nothing that hides or turns round text.

Every kind of line break becomes a line feed. Joiners stay between visible signs, where emoji, Persian and Hindi need them. Tag
characters, which nobody sees and which can carry whole sentences, stay only in the flags that are made of them.
"""

import re
from typing import Final

_BREAK: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_FLAG: Final = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,8}\U000e007f"
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters
    "\ud800-\udfff\ufffe\uffff"  # halves of characters, and what is none
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"  # blank
    "\u202a-\u202e\u2066-\u2069"  # turns the direction of what follows
    "\U0001d173-\U0001d17a\U000e0100-\U000e01ef]"
    f"|(?P<flag>{_FLAG})|[\U000e0000-\U000e007f]"
)
_LOOSE: Final = re.compile(r"(?:\A|(?<=[\s\u200c\u200d]))[\u200c\u200d]++|[\u200c\u200d]++(?=\s|\Z)")
_PILE: Final = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]{4})[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f]++"
)
"""Marks piled on one letter until they cover the lines around it; no language needs more than four."""


def visible(text: str) -> str:
    """`text` with line feeds as its only control characters and tabs as spaces."""
    text = _BREAK.sub("\n", text).replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text
    text = _UNSEEN.sub(lambda found: found["flag"] or "", text)
    return _PILE.sub(r"\1", _LOOSE.sub("", text))
