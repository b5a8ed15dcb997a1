"""What of the conversation a persona sees when it answers a message."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from conversations.logic.fence import LONGEST_NAME, fold, listed, named, said
from conversations.logic.message import Line
from conversations.logic.overrides import ALL, nom
from entities.logic.persona import Persona

Slugs = Mapping[str, frozenset[str]]
"""Username → the ids of our entities that post under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One line of a prompt. `name` is empty if nobody says it; `own`: whoever answers said it."""

    name: str
    text: str
    line: str
    """Both, as prompts show them."""
    own: bool = False


def authors(personas: Sequence[Persona]) -> Slugs:
    """Who posts under which name."""
    found: dict[str, set[str]] = {}
    for persona in personas:
        found.setdefault(persona.username, set()).add(persona.slug)
    return {name: frozenset(slugs) for name, slugs in found.items()}


def size(persona: Persona, message: Line) -> int:
    """How many lines: the message's own wish (`nom`, a positive number or "ALL"), otherwise the persona's setting."""
    wish = nom(message.params or {})
    return persona.messages_to_read if wish is None else min(wish, ALL)


def sees(persona: Persona, line: Line, slugs: Slugs, username: str = "") -> bool:
    """Whether a line belongs to what a persona listens to. Its own lines do, also under `username`: it remembers what it said.

    `slugs` maps a username to the ids of our entities that post under it.
    """
    if line.human:
        return persona.responds_to_humans
    if line.username == persona.username or persona.responds_to_all_ai or (line.own and line.username == username):
        return True
    return bool(slugs.get(line.username, frozenset()) & set(persona.responds_to_these_ai))


def lines(persona: Persona, message: Line, window: Sequence[Line], username: str = "", slugs: Slugs | None = None) -> tuple[Spoken, ...]:
    """The lines of a prompt, oldest first, the message itself last; `username` is whom the persona answers as.

    A context that the message brings is used exactly, even an empty one; otherwise the window before it, cut to `size`.
    Whoever else writes under a name of ours, in `slugs` or `username`, is told apart.
    """
    name = username or persona.username
    ours = frozenset(fold(each) for each in {name, persona.username, *(slugs or ())})
    last = _spoken(message, name, ours, last=True)
    if message.context is not None:
        return (*(_supplied(each, name) for each in message.context), last)
    before = [line for line in window if (line.timestamp, line.id) < (message.timestamp, message.id) and line.text.strip()]
    count = size(persona, message)
    return (*(_spoken(each, name, ours) for each in before[max(0, len(before) - (count - 1)) :]), last)


def _spoken(line: Line, username: str, ours: Collection[str], *, last: bool = False) -> Spoken:
    """A message as a line. What we posted bears our name as it is; nobody else does."""
    text = said(line.text)
    if line.own:
        name = named(line.username)
        return Spoken(name=name, text=text, line=f"{name}: {text}", own=line.username == username and not last)
    name = named(line.username, ours)
    return Spoken(name=name, text=text, line=f"{name}: {text}")


def _supplied(raw: str, username: str) -> Spoken:
    """A line of a supplied context, which is text alone: what stands before a colon, if it can be a name, is the speaker."""
    head, colon, tail = said(raw).partition(":")
    if not colon or len(head) > LONGEST_NAME or not head.strip():
        return Spoken(name="", text=head + colon + tail, line=head + colon + tail)
    own = head.strip() == username
    name = head if own else _kept(head)
    return Spoken(name=name.strip(), text=tail.strip(), line=f"{name}:{tail}", own=own)


def _kept(head: str) -> str:
    """A name out of a line, byte for byte if there is nothing wrong with it."""
    better = named(head)
    return head if better == head.strip() else better


def speakers(shown: Sequence[Spoken]) -> tuple[str, ...]:
    """Who speaks in the shown lines, each once, in order of appearance."""
    return tuple(dict.fromkeys(listed(one.name) for one in shown if one.name))
