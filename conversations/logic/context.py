"""What of the conversation a persona sees when it answers a message."""

from collections.abc import Mapping, Sequence

from conversations.logic.message import Line
from entities.logic.persona import Persona

Slugs = Mapping[str, frozenset[str]]
"""Username → the ids of our entities that post under it."""

CHARACTERS_PER_TOKEN = 3
"""On the safe side: English has about four."""

ANSWER_TOKENS = 500
"""Kept free for the answer where the persona sets no limit."""


def authors(personas: Sequence[Persona]) -> Slugs:
    """Who posts under which name."""
    found: dict[str, set[str]] = {}
    for persona in personas:
        found.setdefault(persona.username, set()).add(persona.slug)
    return {name: frozenset(slugs) for name, slugs in found.items()}


def room(context_length: int, persona: Persona) -> int:
    """Characters that the lines of a prompt may have, so that persona, lines and answer fit into `context_length` tokens."""
    fixed = len(persona.system_prompt) + len(persona.user_prompt) + 100
    return max(0, (context_length - (persona.max_tokens or ANSWER_TOKENS)) * CHARACTERS_PER_TOKEN - fixed)


def fitting(shown: Sequence[str], characters: int) -> tuple[str, ...]:
    """The newest of the lines that fit; the last one, which is to be answered, always stays."""
    kept, left = list(shown[-1:]), characters - sum(len(line) + 1 for line in shown[-1:])
    for line in reversed(shown[:-1]):
        left -= len(line) + 1
        if left < 0:
            break
        kept.insert(0, line)
    return tuple(kept)


def size(persona: Persona, message: Line) -> int:
    """How many lines: the message's own wish (`nom`, a positive number or "ALL"), otherwise the persona's setting."""
    wish = (message.params or {}).get("nom")
    if wish == "ALL":
        return 1000
    if isinstance(wish, int) and not isinstance(wish, bool) and wish > 0:
        return min(wish, 1000)
    return persona.messages_to_read


def sees(persona: Persona, line: Line, slugs: Slugs) -> bool:
    """Whether a line belongs to what a persona listens to. Its own lines do: it remembers what it said.

    `slugs` maps a username to the ids of our entities that post under it.
    """
    if line.human:
        return persona.responds_to_humans
    if line.username == persona.username or persona.responds_to_all_ai:
        return True
    return bool(slugs.get(line.username, frozenset()) & set(persona.responds_to_these_ai))


def lines(persona: Persona, message: Line, window: Sequence[Line]) -> tuple[str, ...]:
    """The lines of a prompt, oldest first, the message itself last.

    A context that the message brings is used exactly, even an empty one; otherwise the window before it, cut to `size`.
    """
    count = size(persona, message)
    if message.context is not None:
        return (*message.context, message.spoken)
    before = [line.spoken for line in window if (line.timestamp, line.id) < (message.timestamp, message.id) and line.text.strip()]
    return (*before[max(0, len(before) - (count - 1)) :], message.spoken)


def speakers(shown: Sequence[str]) -> tuple[str, ...]:
    """Who speaks in the shown lines, each once, in order of appearance."""
    names = (line.split(":", 1)[0].strip() for line in shown if ":" in line)
    return tuple(dict.fromkeys(name for name in names if name))
