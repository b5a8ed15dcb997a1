"""Who answers a message, and why everybody else does not.

In this order; the first rule that fits decides:

1. we posted it, or one of our identities did and nobody listens to it   → nobody
2. `botParams.entity`                                                   → that entity, if it exists, is enabled and the message is open
3. names of enabled entities in the text                                → those, one per name
4. ambient: for each entity that listens to its author                  → a throw of dice against its chance, doubled for a question;
   of those who win, the luckiest few answer

A bot's message answers to 3 and 4 only for entities that opted in, and only while the run of bot messages is short.
Dice are an argument, seeded by message and entity, so every verdict can be made again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from conversations.logic.detection import has_question, mentions
from conversations.logic.lifecycle import Mode
from conversations.logic.message import Line
from entities.logic.persona import Persona

NOES = 30
"""So many refusals are kept with a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yes:
    """One entity answers. `chance` and `dice` are None where no dice were thrown."""

    persona: Persona
    mode: Mode
    rules: tuple[str, ...]
    chance: float | None = None
    dice: float | None = None

    def document(self) -> dict[str, Any]:
        """The JSON kept with the reply."""
        return {"mode": self.mode.value, "rules": list(self.rules), "chance": self.chance, "dice": self.dice}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The whole decision about one message. `error` names something a person should mend."""

    yes: tuple[Yes, ...] = ()
    no: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    error: str = ""

    def document(self) -> dict[str, Any]:
        """The JSON kept with the message; the noes are cut to NOES."""
        return {
            "why": self.why,
            "yes": [y.persona.slug for y in self.yes],
            "no": dict(list(self.no.items())[:NOES]),
            "considered": len(self.yes) + len(self.no),
            "error": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is known of the conversation around a message. `bot_run` counts the bot messages since the last human one."""

    now: datetime
    bot_run: int = 0
    max_bot_run: int = 6
    max_repliers: int = 3
    open: bool = True
    """Whether a message with `botParams.entity` is still to be answered, and by us."""
    why_closed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A message, the lines before it (oldest first) and the room."""

    message: Line
    window: tuple[Line, ...]
    room: Room


def decide(message: Line, personas: Sequence[Persona], room: Room, dice: Callable[[str], float]) -> Verdict:
    """Decide about one message. `dice(entity id)` gives 0 … 1."""
    if message.own:
        return Verdict(why="we posted it")
    wanted = str((message.params or {}).get("entity") or "")
    if wanted:
        return _directed(message, wanted, personas, room)
    if not message.text.strip():
        return Verdict(why="it has no text")
    listening, no = _listening(message, personas, room)
    named = _named(message, listening, dice)
    if named:
        for persona in listening:
            if all(persona is not y.persona for y in named):
                no[persona.slug] = "others were called by name"
        return Verdict(yes=tuple(named), no=no, why="called by name")
    return _ambient(message, listening, no, room, dice)


def _directed(message: Line, wanted: str, personas: Sequence[Persona], room: Room) -> Verdict:
    persona = next((p for p in personas if p.slug == wanted), None)
    if not message.human:
        return Verdict(why="a bot's message is not directed at entities")
    if not room.open:
        return Verdict(no={wanted: room.why_closed}, why=room.why_closed)
    if persona is None:
        known = ", ".join(sorted(p.slug for p in personas)) or "none"
        text = f"Message {message.remote_id} asks for the entity {wanted!r}, which does not exist. Known entities: {known}."
        return Verdict(no={wanted: "no such entity"}, why=f"there is no entity {wanted}", error=text)
    if not persona.enabled:
        return Verdict(no={wanted: f"disabled: {persona.disabled_reason or 'by hand'}"}, why=f"{wanted} is disabled")
    stale = too_old(message, persona, room.now)
    if stale:
        return Verdict(no={wanted: stale}, why=stale)
    return Verdict(yes=(Yes(persona=persona, mode=Mode.DIRECTED, rules=("botParams.entity",)),), why="asked for by id")


def too_old(message: Line, persona: Persona, now: datetime) -> str:
    """Why a message is too old for a persona; empty if it is not."""
    age = now.timestamp() - (message.born.timestamp() if message.born else message.timestamp / 1000)
    return f"{age:.0f} s old, answers nothing older than {persona.max_age_s} s" if age > persona.max_age_s else ""


def _listening(message: Line, personas: Sequence[Persona], room: Room) -> tuple[list[Persona], dict[str, str]]:
    """Those who may answer this author at all, and why the others may not."""
    slugs = frozenset(p.slug for p in personas if p.username == message.username) if not message.human else frozenset()
    listening: list[Persona] = []
    no: dict[str, str] = {}
    for persona in personas:
        why = _deaf(message, persona, slugs, room)
        if why:
            no[persona.slug] = why
        else:
            listening.append(persona)
    return listening, no


def _deaf(message: Line, persona: Persona, slugs: frozenset[str], room: Room) -> str:
    if not persona.enabled:
        return f"disabled: {persona.disabled_reason or 'by hand'}"
    if message.human:
        if not persona.responds_to_humans:
            return "does not answer humans"
    elif message.username == persona.username:
        return "it speaks under that name itself"
    elif not persona.responds_to_all_ai and not slugs & set(persona.responds_to_these_ai):
        return "does not answer this bot"
    elif room.bot_run >= room.max_bot_run:
        return f"bots have spoken {room.bot_run} times since the last human"
    return too_old(message, persona, room.now)


def _named(message: Line, listening: Sequence[Persona], dice: Callable[[str], float]) -> list[Yes]:
    """The entities that the text calls by name; of several under one name, the one with the luckiest dice."""
    called: dict[str, list[tuple[Persona, str]]] = {}
    for persona in listening:
        name = mentions(message.text, (persona.username, *persona.aliases))
        if name:
            called.setdefault(name.casefold(), []).append((persona, name))
    chosen = []
    for group in called.values():
        persona, name = min(group, key=lambda pair: (dice(pair[0].slug), pair[0].slug))
        chosen.append(Yes(persona=persona, mode=Mode.DIRECTED, rules=(f"mention of {name}",)))
    return chosen


def _ambient(message: Line, listening: Sequence[Persona], no: dict[str, str], room: Room, dice: Callable[[str], float]) -> Verdict:
    question = has_question(message.text)
    winners: list[tuple[float, Yes]] = []
    for persona in listening:
        chance = min(1.0, persona.response_chance * (2 if question else 1))
        thrown = dice(persona.slug)
        if thrown >= chance:
            no[persona.slug] = f"dice {thrown:.3f} against {chance:.3f}"
            continue
        rules = ("chance", "doubled for a question") if question else ("chance",)
        yes = Yes(persona=persona, mode=Mode.AMBIENT, rules=rules, chance=chance, dice=thrown)
        winners.append((thrown / chance / max(persona.weight, 1e-9), yes))
    winners.sort(key=lambda pair: (pair[0], pair[1].persona.slug))
    for _, yes in winners[room.max_repliers :]:
        no[yes.persona.slug] = f"at most {room.max_repliers} answer one message"
    chosen = tuple(yes for _, yes in winners[: room.max_repliers])
    return Verdict(yes=chosen, no=no, why="by chance" if chosen else "nobody's dice fell for it" if listening else "nobody listens to this")
