"""Everybody who may answer, arranged so that a message is compared with all of them at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from conversations.logic.audience import Audience
from conversations.logic.names import Names
from conversations.logic.signals import Call
from conversations.logic.topics import Interests
from conversations.logic.words import folded, plain, tokens
from entities.logic.persona import Persona

Topics = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """All entities, the disabled ones too. Make it with `of`; it is expensive to make and cheap to ask."""

    personas: tuple[Persona, ...]
    """By slug."""
    version: str
    """Another one for other personas."""
    by_slug: Mapping[str, Persona]
    authors: Mapping[str, frozenset[str]]
    """Username → the slugs of the entities that post under it."""
    names: Names[Call]
    commands: Names[Call]
    interests: Interests
    audience: Audience
    """Who listens to whom, for the verdict."""
    longest: int
    """Lines of the conversation that whoever reads most of it reads."""

    @classmethod
    def of(cls, personas: Iterable[Persona], version: str = "") -> Self:
        """The cast of these personas."""
        everybody = tuple(sorted(personas, key=lambda persona: persona.slug))
        authors: dict[str, set[str]] = {}
        for persona in everybody:
            authors.setdefault(persona.username, set()).add(persona.slug)
        return cls(
            personas=everybody,
            version=version,
            by_slug={persona.slug: persona for persona in everybody},
            authors={name: frozenset(slugs) for name, slugs in authors.items()},
            names=Names((word, Call(slug=p.slug, word=word)) for p in everybody for word in dict.fromkeys((p.username, *p.aliases))),
            commands=Names((word, Call(slug=p.slug, word=word)) for p in everybody for word in dict.fromkeys(p.triggers)),
            audience=Audience.of(everybody),
            interests=Interests((p.slug, p.interests) for p in everybody),
            longest=max((p.messages_to_read for p in everybody if p.enabled), default=1),
        )

    def called(self, text: str | Sequence[str]) -> tuple[Call, ...]:
        """Who is called by name or alias in a text, or in what is `heard` of it; each once, in its order."""
        return once(self.names.found(heard(text) if isinstance(text, str) else text))

    def triggered(self, text: str | Sequence[str]) -> tuple[Call, ...]:
        """Whose triggers a text holds, or what is `heard` of it; each entity once, however often."""
        return once(self.commands.found(heard(text) if isinstance(text, str) else text))

    def interested(self, topics: Topics) -> Mapping[str, float]:
        """Slug → 0 … 1: how well the topics fit an entity's interests. Those whom they do not fit are absent."""
        return self.interests.fitting(topics)


def heard(text: str) -> list[str]:
    """The tokens of a text in which somebody may be called."""
    return tokens(folded(plain(text)))


def once(calls: Iterator[Call]) -> tuple[Call, ...]:
    """The first call of each entity."""
    first: dict[str, Call] = {}
    for call in calls:
        first.setdefault(call.slug, call)
    return tuple(first.values())
