"""Who answers a message, and why everybody else does not.

In this order; the first that fits decides:

1. `botParams.entity`                     → that entity, if it exists, is enabled, may speak here and the message is open; to a bot, nobody
2. no text                                → nobody
3. names, aliases and triggers in the text → whoever of those listens to its author; one per word, the luckiest of several
4. by chance                              → `conversations.logic.ambient`

Who listens to an author (`refusal`): enabled; a member of the room; to a human, who answers humans; to a bot, who has opted in to it,
is not that bot itself under any name, and only while the run of bots is short (`loopguard`); and only while the message is fresh.
Our own posts are bots' messages like others: an entity never answers itself, and another one only if it has opted in.
Dice are an argument, seeded by message and entity, so every verdict can be made again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conversations.logic.ambient import Chosen, Means, by_chance
from conversations.logic.audience import Audience, opted
from conversations.logic.lifecycle import Mode
from conversations.logic.message import Line
from conversations.logic.noes import LETTERS, NAMED, Noes
from conversations.logic.scene import Room, Scene
from entities.logic.persona import Persona

__all__ = ["Room", "Scene", "Verdict", "Yes", "decide", "refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yes:
    """One entity answers. `chance` and `dice` are None where no dice were thrown."""

    persona: Persona
    mode: Mode
    rules: tuple[str, ...]
    chance: float | None = None
    dice: float | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    pick: str = ""
    """Why it was chosen before others whose dice fell as well."""

    def document(self) -> dict[str, Any]:
        """The JSON kept with the reply."""
        return {
            "mode": self.mode.value,
            "rules": list(self.rules),
            "chance": None if self.chance is None else round(self.chance, 6),
            "dice": None if self.dice is None else round(self.dice, 6),
            "factors": {name: round(factor, 4) for name, factor in self.factors.items()},
            "pick": self.pick,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The whole decision about one message. `error` names something a person should mend."""

    yes: tuple[Yes, ...] = ()
    bench: tuple[Yes, ...] = ()
    """Who answers by chance in the place of one whose limits refuse it, in this order."""
    no: Mapping[str, str] = field(default_factory=dict)
    """Entity id → reason, for some."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Reason → how many, for all."""
    surplus: str = ""
    """The reason under which the bench is counted."""
    why: str = ""
    error: str = ""
    fault: str = ""
    """Like `error`, of settings: it will be the same with the next message."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What of the surroundings had a say in it."""

    def document(self) -> dict[str, Any]:
        """The JSON kept with the message, less than 8 kB however many entities there are."""
        told: dict[str, Any] = {
            "why": self.why[: LETTERS // 4],
            "yes": [y.persona.slug for y in self.yes[:NAMED]],
            "no": dict(self.no),
            "noes": dict(self.counts),
            "considered": len(self.yes) + sum(self.counts.values()),
            "error": (self.error or self.fault)[: LETTERS // 4],
        }
        return told | ({"facts": dict(self.facts)} if self.facts else {})


def decide(scene: Scene, audience: Audience, means: Means) -> Verdict:
    """Decide about one message."""
    message, room = scene.message, scene.room
    wanted = str((message.params or {}).get("entity") or "")
    if wanted and not (message.own or not message.human):
        return _directed(message, wanted, audience, room)
    if wanted:
        return Verdict(why="we posted it" if message.own else "a bot's message is not directed at entities")
    if not message.text.strip():
        return Verdict(why="it has no text")
    authors = frozenset() if message.human else room.authors | audience.names.get(message.username, frozenset())
    noes = Noes()
    named = _named(scene, audience, authors, means.dice, noes)
    facts = (
        {}
        if message.human or not audience.answers_bots
        else {"bots": room.run.bots, "underway": room.run.underway, "most bots": room.run.cap}
    )
    if named:
        rest = [slug for slug in audience.by_slug if slug not in noes and all(slug != y.persona.slug for y in named)]
        noes.group(rest, "others were called by name")
        return Verdict(yes=tuple(named), no=noes.names(), counts=noes.counts, why="called by name", facts=facts)
    chosen = by_chance(scene, audience, authors, means, noes)
    why = "we posted it" if message.own and not chosen.heard else chosen.why
    yes = tuple(_by_chance(one) for one in chosen.winners)
    bench = tuple(_by_chance(one) for one in chosen.bench)
    return Verdict(
        yes=yes,
        bench=bench,
        no=noes.names(),
        counts=noes.counts,
        surplus=chosen.surplus,
        why=why,
        fault=chosen.error,
        facts={**facts, **chosen.facts},
    )


def _by_chance(one: Chosen) -> Yes:
    rules = (f"chance {one.persona.response_chance:g}", *(f"{name} ×{factor:g}" for name, factor in one.factors.items()))
    return Yes(persona=one.persona, mode=Mode.AMBIENT, rules=rules, chance=one.chance, dice=one.dice, factors=one.factors, pick=one.why)


def _directed(message: Line, wanted: str, audience: Audience, room: Room) -> Verdict:
    persona = audience.by_slug.get(wanted)
    slug = wanted[:100]

    def nobody(why: str, text: str = "", error: str = "") -> Verdict:
        return Verdict(no={slug: why}, counts={text or why: 1}, why=text or why, error=error)

    if not room.open:
        return nobody(room.why_closed)
    if persona is None:
        known = ", ".join(list(audience.by_slug)[:NAMED]) or "none"
        more = f" and {len(audience.by_slug) - NAMED} more" if len(audience.by_slug) > NAMED else ""
        text = f"Message {message.remote_id} asks for the entity {slug!r}, which does not exist. Known entities: {known}{more}."
        return nobody("no such entity", f"there is no entity {slug}", text)
    if not persona.enabled:
        return nobody(_off(persona), f"{wanted} is disabled")
    if room.members is not None and wanted not in room.members:
        return nobody("may not speak in this room", f"{wanted} may not speak in this room")
    stale = too_old(message, persona, room)
    if stale:
        return nobody(stale)
    return Verdict(yes=(Yes(persona=persona, mode=Mode.DIRECTED, rules=("botParams.entity",)),), why="asked for by id")


def _off(persona: Persona) -> str:
    return f"disabled: {persona.disabled_reason or 'by hand'}"


def too_old(message: Line, persona: Persona, room: Room) -> str:
    """Why a message is too old for a persona; empty if it is not."""
    age = message.age_s(room.now)
    return f"{age:.0f} s old, answers nothing older than {persona.max_age_s} s" if age > persona.max_age_s else ""


def refusal(message: Line, persona: Persona, authors: frozenset[str], room: Room) -> tuple[str, str]:
    """Why an entity does not listen to a message at all, as text and as the kind it is counted under; two empty ones if it does."""
    if not persona.enabled:
        return _off(persona), "disabled"
    if room.members is not None and persona.slug not in room.members:
        return "may not speak in this room", "may not speak in this room"
    if message.human:
        if not persona.responds_to_humans:
            return "does not answer humans", "does not answer humans"
    elif persona.slug in authors or persona.username == message.username:
        return "it speaks under that name itself", "it speaks under that name itself"
    elif not opted(persona, authors):
        return "does not answer this bot", "does not answer this bot"
    elif not room.run.left:
        return room.run.why, "bots among themselves"
    stale = too_old(message, persona, room)
    return stale, "too old" if stale else ""


def _named(scene: Scene, audience: Audience, authors: frozenset[str], dice: Callable[[str], float], noes: Noes) -> list[Yes]:
    """The entities that the text calls; of several under one word, the one with the luckiest dice."""
    calls = [(call, f"mention of {call.word}") for call in scene.signals.mentions]
    calls += [(call, f"trigger {call.word}") for call in scene.signals.triggers]
    groups: dict[str, list[tuple[Persona, str]]] = {}
    seen: set[str] = set()
    for call, rule in calls:
        persona = audience.by_slug.get(call.slug)
        if persona is None or call.slug in seen:
            continue
        seen.add(call.slug)
        why, kind = refusal(scene.message, persona, authors, scene.room)
        if why:
            noes.add(persona.slug, why, kind)
        else:
            groups.setdefault(call.word.casefold(), []).append((persona, rule))
    chosen = [
        Yes(persona=persona, mode=Mode.DIRECTED, rules=(rule,))
        for persona, rule in (min(group, key=lambda one: (dice(one[0].slug), one[0].slug)) for group in groups.values())
    ]
    if scene.message.human:
        return chosen
    for late in chosen[scene.room.run.left :]:
        noes.add(late.persona.slug, scene.room.run.why, "bots among themselves")
    return chosen[: scene.room.run.left]
