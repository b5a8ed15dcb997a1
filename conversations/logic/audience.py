"""Who listens to whom, arranged once for a cast, so that a message touches only those who might answer it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from entities.logic.persona import Persona

Listener = tuple[str, float, Persona]
"""An entity's id, its chance, and the whole of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Everybody by what they listen to. Listeners are enabled, and only those are in `humans`, `bots`, `chosen` that speak by chance."""

    by_slug: Mapping[str, Persona]
    disabled: tuple[str, ...]
    humans: tuple[Listener, ...]
    """Who may answer a human by chance."""
    silent: tuple[str, ...]
    """Who listens to humans and never speaks by chance."""
    deaf: tuple[str, ...]
    """Who does not listen to humans."""
    bots: tuple[Listener, ...]
    """Who may answer any bot by chance."""
    chosen: Mapping[str, tuple[Listener, ...]]
    """Entity id → who may answer that entity by chance, besides `bots`."""
    names: Mapping[str, frozenset[str]]
    """Username → the ids of the entities that post under it."""
    answers_bots: bool
    """Whether anybody answers any bot, by chance or by name."""
    patience_s: int
    """What is not older than this is old to nobody."""

    @classmethod
    def of(cls, personas: Iterable[Persona]) -> Self:
        """Arrange them; the order of the ids is the order of everything."""
        everybody = sorted(personas, key=lambda one: one.slug)
        on = [one for one in everybody if one.enabled]
        chosen: dict[str, list[Listener]] = {}
        names: dict[str, set[str]] = {}
        for one in everybody:
            names.setdefault(one.username, set()).add(one.slug)
        for one in on:
            if one.response_chance > 0 and not one.responds_to_all_ai:
                for slug in dict.fromkeys(one.responds_to_these_ai):
                    chosen.setdefault(slug, []).append(_listener(one))
        return cls(
            by_slug={one.slug: one for one in everybody},
            disabled=tuple(one.slug for one in everybody if not one.enabled),
            humans=tuple(_listener(one) for one in on if one.responds_to_humans and one.response_chance > 0),
            silent=tuple(one.slug for one in on if one.responds_to_humans and one.response_chance <= 0),
            deaf=tuple(one.slug for one in on if not one.responds_to_humans),
            bots=tuple(_listener(one) for one in on if one.responds_to_all_ai and one.response_chance > 0),
            chosen={slug: tuple(listeners) for slug, listeners in chosen.items()},
            names={name: frozenset(slugs) for name, slugs in names.items()},
            answers_bots=any(one.responds_to_all_ai or one.responds_to_these_ai for one in on),
            patience_s=min((one.max_age_s for one in on), default=0),
        )

    def for_bot(self, authors: frozenset[str]) -> Sequence[Listener]:
        """Who may answer a bot by chance that is one of `authors`, each once, by id."""
        if not any(author in self.chosen for author in authors):
            return self.bots
        found = {listener[0]: listener for listener in self.bots}
        for author in authors:
            found.update((listener[0], listener) for listener in self.chosen.get(author, ()))
        return [found[slug] for slug in sorted(found)]


def _listener(one: Persona) -> Listener:
    return one.slug, one.response_chance, one


def opted(persona: Persona, authors: frozenset[str]) -> bool:
    """Whether an entity answers a bot that is one of `authors`. Who answers all needs no list."""
    return persona.responds_to_all_ai or not authors.isdisjoint(persona.responds_to_these_ai)
