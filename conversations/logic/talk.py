"""Which conversation a message that answers nobody is part of."""

from contextlib import suppress

from conversations.feed.identity import ais, color
from conversations.logic import grouping
from conversations.logic.cast import Cast


def talk(author: tuple[str, str], domain: str, home: str, cast: Cast, *, entity: str = "", wish: str = "") -> str:
    """The private conversation of a human's message to an entity, otherwise the room of its domain.

    `author` is a name and a colour; `entity` and `wish` are what a human's message says in botParams.entity and botParams.ais.
    """
    if not entity:
        return grouping.room(domain, home)
    return grouping.private(author, _identity(entity, wish, cast))


def _identity(entity: str, wish: str, cast: Cast) -> tuple[str, str]:
    """Name and colour of whom a message wants its answer from."""
    if wish:
        with suppress(ValueError):  # the decision says what is wrong with it
            wanted = ais(wish)
            return wanted.username, wanted.color or "random"
    persona = cast.by_slug.get(entity)
    return (persona.username, color(persona.color)) if persona else (entity, "")
