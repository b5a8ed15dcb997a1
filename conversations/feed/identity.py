"""Names, colours and lengths as the backends mean them: lengths are UTF-16 units, colours come in three spellings."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from conversations.feed.values import NAME_LIMIT, Generation

_RGB = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)", re.IGNORECASE)
_DIGITS = re.compile(r"(\d{3})(\d{3})(\d{3})(-[0-9A-Za-z]+)?")


def units(text: str) -> int:
    """The length of `text` in UTF-16 units, as the backends count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """The beginning of `text`, at most `limit` UTF-16 units and never half a character."""
    if len(text) <= limit and units(text) <= limit:
        return text
    return text.encode("utf-16-le", "surrogatepass")[: limit * 2].decode("utf-16-le", "ignore")


def name(text: str) -> str:
    """A username the backends keep as it is: trimmed, at most 16 units."""
    return cut(text.strip(), NAME_LIMIT).strip()


def color(text: str) -> str:
    """The inside form of a colour: `RRRGGGBBB`, with `-suffix` if it has one.

    A colour is part of an identity, so what is none of the three spellings stays as it is, trimmed.
    """
    text = text.strip()
    found = _RGB.fullmatch(text)
    if found and all(int(part) <= 255 for part in found.groups()):
        return "".join(f"{int(part):03d}" for part in found.groups())
    return text


def printed(text: str, generation: Generation) -> str:
    """A colour in the spelling `generation` expects: `rgb(r, g, b)` in September, nine digits in October, a suffix since November."""
    inside = color(text)
    found = _DIGITS.fullmatch(inside)
    if found is None:
        return inside
    if generation is Generation.KV:
        return f"rgb({int(found[1])}, {int(found[2])}, {int(found[3])})"
    return inside if generation is Generation.DO else inside[:9]


def drawn(dice: Callable[[], float]) -> str:
    """A random colour, light enough for a dark page: each part 64 to 255. `dice` gives numbers in [0, 1)."""
    return "".join(f"{64 + int(dice() * 192):03d}" for _ in range(3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom to answer as. `color` is the inside form; None asks for a random one (`drawn`)."""

    username: str
    color: str | None


def ais(text: str) -> Identity:
    """The identity a message asks to be answered under: `username:colour` or `username:random`; the name is cut at 16.

    Raises ValueError, as a sentence, if it is neither.
    """
    username, colon, shade = text.rpartition(":")
    username, shade = name(username), shade.strip()
    if not colon or not username or not shade:
        raise ValueError(f"ais is {text!r}; it must be username:colour or username:random")
    return Identity(username=username, color=None if shade.lower() == "random" else color(shade))
