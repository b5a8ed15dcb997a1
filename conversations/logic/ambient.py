"""Who answers a message by chance.

1. Who may: who listens to the author, may speak here, and for whom the message is fresh
2. not to a bot in a private talk, if a human is wanted and none has written for long, or after too many bots among themselves
3. not, who answers by chance another message that waited together with this one: they are one occasion
4. not, whose post stands right before the message, unless that leaves nobody: nobody speaks twice in a row if another one may
5. chance = the entity's × every rule's factor (× how deep bots are among themselves), at most 1; 0 stays 0
6. dice below the chance
7. of those, the first few of the strategy's order; the next ones wait on the bench, for the limits may refuse the first

With a thousand entities this runs for every message: what is alike for many is not written for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from conversations.logic.audience import Audience, Listener
from conversations.logic.grouping import is_private
from conversations.logic.noes import Miss, Noes
from conversations.logic.scene import Scene
from conversations.logic.weights import Weights
from entities.logic.persona import Persona
from entities.logic.selection import STRATEGIES, Candidate, Strategy, ordered

BENCH: Final = 3
"""So many more than may answer are kept in reserve."""


def unweighted() -> Weights:
    """No rules."""
    return Weights()


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What deciding needs from outside. `dice(entity id)` gives 0 … 1; `weigh` is asked once, and only if somebody may speak by chance."""

    dice: Callable[[str], float]
    weigh: Callable[[], Weights] = unweighted
    strategies: Mapping[str, Strategy] = field(default_factory=lambda: STRATEGIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One whose dice fell."""

    persona: Persona
    chance: float
    dice: float
    factors: Mapping[str, float]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who answers by chance. `heard`: whether anybody listens to the author at all."""

    winners: tuple[Chosen, ...] = ()
    bench: tuple[Chosen, ...] = ()
    surplus: str = ""
    """Why the bench does not answer."""
    why: str = ""
    error: str = ""
    heard: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)


def by_chance(scene: Scene, audience: Audience, authors: frozenset[str], means: Means, noes: Noes) -> Choice:
    """The seven steps; refusals go into `noes`."""
    room, human = scene.room, scene.message.human
    listeners, heard = _listeners(scene, audience, authors, noes)
    if not listeners:
        return Choice(why="nobody here speaks by chance" if heard else "nobody listens to this", heard=heard)
    if not human:
        closed = _closed(scene)
        if closed:
            noes.group([slug for slug, _, _ in listeners], closed)
            return Choice(why=closed)
    listeners = _turns(listeners, room.engaged, room.last, noes)
    if not listeners:
        return Choice(why="who might answer is busy with a message that came together with this one")
    weights = means.weigh()
    decay = 1.0 if human else room.run.factor
    won = _thrown(listeners, weights, decay, means.dice, noes)
    facts = _facts(scene, weights)
    if not won:
        return Choice(why="nobody's dice fell for it", facts=facts)
    strategy = means.strategies.get(room.strategy)
    if strategy is None:
        text = f"There is no reply strategy {room.strategy!r}. Choose one of {', '.join(sorted(means.strategies))}, or name its plugin."
        noes.group([one[0].slug for one in won], "there is no such strategy")
        return Choice(why=f"there is no reply strategy {room.strategy!r}", error=text, facts=facts)
    return _picked(scene, strategy, won, weights, decay, facts, noes)


_DEAF: Final = "does not answer this bot, or never by chance"


def _listeners(scene: Scene, audience: Audience, authors: frozenset[str], noes: Noes) -> tuple[Sequence[Listener], bool]:
    """Who may answer by chance and is not refused already, and whether anybody listens to this author at all."""
    message, room = scene.message, scene.room
    noes.group(_besides(audience.disabled, noes), "disabled")
    if message.human:
        found: Sequence[Listener] = audience.humans
        heard = bool(found or audience.silent)
        noes.group(_besides(audience.deaf, noes), "does not answer humans")
        noes.group(_besides(audience.silent, noes), "never speaks by chance")
    else:
        found = [one for one in audience.for_bot(authors) if one[0] not in authors and one[2].username != message.username]
        heard = bool(found)
        listening = {slug for slug, _, _ in found}
        off = frozenset(audience.disabled)
        noes.group([slug for slug in audience.by_slug if slug not in listening and slug not in off and slug not in noes], _DEAF)
    if len(noes):
        found = [one for one in found if one[0] not in noes]
    if room.members is not None:
        noes.group([one[0] for one in found if one[0] not in room.members], "may not speak in this room")
        found = [one for one in found if one[0] in room.members]
    age = message.age_s(room.now)
    if age > audience.patience_s:
        noes.group([one[0] for one in found if age > one[2].max_age_s], f"{age:.0f} s old, too old for it")
        found = [one for one in found if age <= one[2].max_age_s]
        heard = bool(found)
    return found, heard


def _besides(slugs: Sequence[str], noes: Noes) -> Sequence[str]:
    return [slug for slug in slugs if slug not in noes] if len(noes) else slugs


def _closed(scene: Scene) -> str:
    """Why no bot is answered by chance now; empty if one may be."""
    room = scene.room
    if is_private(scene.signals.conversation):
        return "it belongs to the private talk of others"
    if not room.run.left:
        return room.run.why
    if room.require_human_s and (room.human_s is None or room.human_s > room.require_human_s):
        return f"no human has written for {room.require_human_s} s"
    return ""


def _turns(listeners: Sequence[Listener], engaged: frozenset[str], last: frozenset[str], noes: Noes) -> Sequence[Listener]:
    if engaged:
        noes.group([one[0] for one in listeners if one[0] in engaged], "answers a message that came together with this one")
        listeners = [one for one in listeners if one[0] not in engaged]
    if last:
        others = [one for one in listeners if one[0] not in last]
        if others:
            noes.group([one[0] for one in listeners if one[0] in last], "has just spoken, and others may")
            return others
    return listeners


def _thrown(
    listeners: Sequence[Listener], weights: Weights, decay: float, dice: Callable[[str], float], noes: Noes
) -> list[tuple[Persona, float, float]]:
    """Whose dice fell: persona, chance, dice."""
    common, own = weights.common * decay, weights.own
    won: list[tuple[Persona, float, float]] = []
    misses: list[Miss] = []
    for slug, base, persona in listeners:
        chance = base * common * own[slug] if slug in own else base * common
        chance = min(chance, 1.0)
        thrown = dice(slug)
        if thrown < chance:
            won.append((persona, chance, thrown))
        else:
            misses.append((thrown - chance, slug, thrown, chance))
    noes.missed(misses)
    return won


def _picked(
    scene: Scene,
    strategy: Strategy,
    won: Sequence[tuple[Persona, float, float]],
    weights: Weights,
    decay: float,
    facts: Mapping[str, Any],
    noes: Noes,
) -> Choice:
    room = scene.room
    spoke = dict(reversed(room.spoken))
    last = room.spoken[0][0] if room.spoken else ""
    candidates = [
        Candidate(slug=persona.slug, chance=chance, dice=dice, weight=persona.weight, spoke_s=spoke.get(persona.slug))
        for persona, chance, dice in won
    ]
    try:
        order = ordered(strategy, candidates, last)
    except ValueError as error:
        noes.group([one.slug for one in candidates], "the strategy failed")
        return Choice(why=f"the strategy {room.strategy} failed", error=f"The reply strategy {room.strategy} failed: {error}.", facts=facts)
    most = room.max_repliers if scene.message.human else min(room.max_repliers, room.run.left)
    named = {pick.slug for pick in order}
    surplus = f"at most {most} answer one message"
    noes.group([pick.slug for pick in order[most:]], surplus)
    noes.group([candidate.slug for candidate in candidates if candidate.slug not in named], f"{room.strategy} did not choose it")
    by_slug = {persona.slug: (persona, chance, dice) for persona, chance, dice in won}
    found = []
    for pick in order[: most + BENCH] if most else ():
        persona, chance, dice = by_slug[pick.slug]
        factors = weights.on(pick.slug) | ({"bots among themselves": decay} if decay != 1.0 else {})
        found.append(Chosen(persona=persona, chance=chance, dice=dice, factors=factors, why=f"{room.strategy}: {pick.why}"))
    why = "by chance" if found else "nobody may answer by chance here" if order else f"{room.strategy} chose nobody"
    return Choice(winners=tuple(found[:most]), bench=tuple(found[most:]), surplus=surplus, why=why, facts=facts)


def _facts(scene: Scene, weights: Weights) -> dict[str, Any]:
    """What the verdict keeps of the surroundings."""
    found: dict[str, Any] = {"strategy": scene.room.strategy}
    if shared := weights.shared():
        found["factors"] = {name: round(factor, 4) for name, factor in list(shared.items())[:20]}
    if weights.failed:
        found["failed plugins"] = {name[:60]: why[:200] for name, why in list(weights.failed.items())[:5]}
    return found
