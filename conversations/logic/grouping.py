"""Which messages belong together: the conversation a message is part of, how far back that reaches, and who talks with whom in it.

A conversation is public or private. The public one of a feed has the key "" (its own domain; so have rows from before there were
keys), that of another domain the domain's name. A human's message that names an entity is private: its key is made of the human's name
and colour and the name and colour of the identity that shall answer, whoever speaks under it. Keys of one kind are never those of
the other, whatever people call themselves or their domains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from conversations.logic.activity import at
from conversations.logic.message import Line
from conversations.logic.words import folded, tokens, worded

PUBLIC: Final = ""
PRIVATE: Final = "private:"
UNKNOWN: Final = "unknown"
"""What backends write where nobody said a domain."""

LONGEST: Final = 200
"""Characters of a key."""

ADJACENT_MS: Final = 20_000
"""A line so soon after another may answer it."""

LONGEST_LINE: Final = 1000
"""Characters of a line in which names are looked for."""

SAME_MS: Final = 180_000
"""Who speaks again within so long goes on with what he said."""


def room(domain: str, home: str) -> str:
    """The key of the public conversation of a domain, in a feed whose own domain is `home`."""
    return PUBLIC if domain in ("", UNKNOWN, home) else _fitted(_quoted(domain))


def private(human: tuple[str, str], identity: tuple[str, str]) -> str:
    """The key of the talk of a human with an identity, each a name and a colour (or whatever tells them apart)."""
    return _fitted(PRIVATE + ":".join(_quoted(part) for part in (*human, *identity)))


def is_private(key: str) -> bool:
    """Whether a key is that of a private conversation."""
    return key.startswith(PRIVATE)


def _quoted(part: str) -> str:
    """`part` without colons, and another one for every other part."""
    return part.replace("%", "%25").replace(":", "%3A")


def _fitted(key: str) -> str:
    """A key that is too long, cut and told apart by a digest."""
    if len(key) <= LONGEST:
        return key
    return f"{key[: LONGEST - 34]}:#{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def stretch(before: Sequence[Line], present: Line, gap_s: float) -> tuple[Line, ...]:
    """Of the lines before `present`, oldest first, those that no silence of more than `gap_s` separates from it."""
    later = at(present)
    for number in range(len(before) - 1, -1, -1):
        moment = at(before[number])
        if later - moment > gap_s * 1000:
            return tuple(before[number + 1 :])
        later = min(later, moment)
    return tuple(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Lines of people who talk with each other, oldest first, and their names, in the order in which they joined."""

    lines: tuple[Line, ...]
    names: tuple[str, ...]


class _Making:
    __slots__ = ("lines", "names")

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.names: dict[str, None] = {}


def groups(lines: Sequence[Line]) -> tuple[Group, ...]:
    """Who talks with whom among lines of one conversation, oldest first. A line belongs, the first rule that fits,

    1. to the line that it replies to
    2. to the latest line of somebody whom it names
    3. to what its author said a moment ago
    4. to the line just before it, if that is recent
    5. to a new group.
    """
    made: list[_Making] = []
    by_id: dict[str, _Making] = {}
    latest: dict[str, tuple[_Making, int]] = {}
    spoken: dict[str, frozenset[str]] = {}
    last: tuple[_Making, int] | None = None
    for line in lines:
        moment = at(line)
        group = by_id.get(line.reply_to) if line.reply_to else None
        group = group or _named(line, spoken, latest) or _going_on(latest.get(line.username), moment, SAME_MS)
        group = group or _going_on(last, moment, ADJACENT_MS)
        if group is None:
            group = _Making()
            made.append(group)
        group.lines.append(line)
        if line.username:
            group.names[line.username] = None
            spoken.setdefault(line.username, _said(line.username))
        by_id[line.remote_id] = group
        latest[line.username] = last = (group, moment)
    return tuple(Group(lines=tuple(group.lines), names=tuple(group.names)) for group in made)


def _going_on(said: tuple[_Making, int] | None, moment: int, within: int) -> _Making | None:
    return said[0] if said and moment - said[1] <= within else None


def _named(line: Line, spoken: Mapping[str, frozenset[str]], latest: Mapping[str, tuple[_Making, int]]) -> _Making | None:
    """The group of whoever, of those who spoke before, the line names; of several, that of the one who spoke last."""
    there = _said(line.text[:LONGEST_LINE])
    found = [latest[name] for name, words in spoken.items() if words and words <= there and name != line.username]
    return max(found, key=lambda pair: pair[1])[0] if found else None


@lru_cache(maxsize=1024)
def _said(text: str) -> frozenset[str]:
    """The words of a text or a name."""
    return frozenset(worded(tokens(folded(text))))
