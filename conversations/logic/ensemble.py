"""Several voices as pure arithmetic: what comes next, what each is asked, and how much of the earlier answers it sees.

What comes next, in this order; the first that fits decides:

1. somebody is asked                                → wait
2. a voice has not been asked                       → ask the first of them
3. the synthesis is not there (its entity is gone)  → the end, failed
4. nobody answered                                  → the end, failed, with everybody's reason
5. the synthesis has not been asked                 → ask it
6. the synthesis is given                           → the end, done; otherwise failed with its reason

Texts of people and models never meet a formatting language: a prompt is filled in one pass over its own placeholders, and what is put
in is not looked at again.

::

    EnsembleError
    ├── BadPrompt     a prompt of one's own says something that nothing fills in
    ├── Refused       it cannot be asked like this
    └── TooLong       not even the shortest form fits the model's context
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from conversations.logic.dice import throw
from conversations.logic.lifecycle import EnsembleState, VoiceState
from swwbot_site.lib.errors import BotError, Fault

MOST: Final = 100
"""Voices of one ensemble, at most."""

STEP: Final = timedelta(minutes=2)
"""What a step may take on average, a load of its model included; the time of the whole is so much for each step."""

SHORTEST: Final = timedelta(minutes=10)
"""The least time of a whole."""

AT_LEAST: Final = timedelta(seconds=30)
"""A step gets so much, however little is left for those after it."""

FEWEST: Final = 40
"""Characters: an answer that would be cut shorter tells nothing any more."""

VOICE: Final = """\
The question is:
{originalQuestion}

Answers given before yours: {previousCount}
{previousContext}

Give your own answer, in your own voice. Do not repeat what has been said; agree with it, doubt it or add to it."""

SYNTHESIS: Final = """\
The question was:
{originalQuestion}

It was answered by {entityCount}, each in a voice of its own:
{entityResponses}

Write one answer to the question that draws these together: what they share, where they differ, and what follows from it."""

VOICE_NAMES: Final = ("originalQuestion", "previousContext", "previousCount")
SYNTHESIS_NAMES: Final = ("originalQuestion", "entityCount", "entityResponses")

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_]\w*)\}")


class EnsembleError(BotError):
    """Several voices cannot be asked, or not like this."""

    code = "ensemble"
    fault = Fault.OPERATOR


class BadPrompt(EnsembleError):
    """A prompt of one's own says something that nothing fills in, or leaves out what it is for."""

    code = "ensemble-prompt"


class Refused(EnsembleError):
    """It cannot be asked like this: an unknown entity, nobody to ask, a key that is taken."""

    code = "ensemble-refused"


class TooLong(EnsembleError):
    """Not even the shortest form of a prompt fits the model's context."""

    code = "ensemble-too-long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One step as it stands. `name` is the username that speaks."""

    ordinal: int
    name: str
    state: VoiceState
    synthesis: bool = False
    text: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer as later ones see it."""

    name: str
    text: str

    @property
    def line(self) -> str:
        """As it stands in a prompt."""
        return f"{self.name}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask the step at this place."""

    ordinal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Somebody is asked already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """It is over. `text` is the synthesis, `reason` why it ended as it did."""

    state: EnsembleState
    text: str = ""
    reason: str = ""


def following(parts: Sequence[Part]) -> Ask | Wait | End:
    """What comes next, given every step as it stands."""
    ordered = sorted(parts, key=lambda part: part.ordinal)
    voices = [part for part in ordered if not part.synthesis]
    if any(part.state is VoiceState.ASKED for part in ordered):
        return Wait()
    if waiting := next((part for part in voices if part.state is VoiceState.WAITING), None):
        return Ask(ordinal=waiting.ordinal)
    synthesis = next((part for part in ordered if part.synthesis), None)
    if synthesis is None:
        return End(state=EnsembleState.FAILED, reason="the entity that was to write the synthesis does not exist any more")
    if not answers(voices):
        return End(state=EnsembleState.FAILED, reason="nobody answered: " + ("; ".join(map(_why, voices)) or "there is nobody left"))
    if synthesis.state is VoiceState.WAITING:
        return Ask(ordinal=synthesis.ordinal)
    if synthesis.state is VoiceState.DONE:
        return End(state=EnsembleState.DONE, text=synthesis.text)
    return End(state=EnsembleState.FAILED, reason=f"no synthesis: {_why(synthesis)}")


def answers(parts: Sequence[Part]) -> tuple[Said, ...]:
    """What the voices have said so far, in their order, without the synthesis."""
    ordered = sorted(parts, key=lambda part: part.ordinal)
    return tuple(Said(name=p.name, text=p.text) for p in ordered if p.state is VoiceState.DONE and not p.synthesis and p.text)


def _why(part: Part) -> str:
    return f"{part.name}: {part.reason or part.state.value}"


def checked(prompt: str, names: Sequence[str], needed: str) -> str:
    """A prompt of one's own, if it can be filled in. Raises BadPrompt."""
    found = _PLACEHOLDER.findall(prompt)
    known = ", ".join(f"{{{name}}}" for name in names)
    if unknown := [name for name in dict.fromkeys(found) if name not in names]:
        told = ", ".join(f"{{{name}}}" for name in unknown)
        raise BadPrompt(f"The prompt has {told}, which nothing fills in. It may have {known}.")
    if needed not in found:
        raise BadPrompt(f"The prompt has no {{{needed}}}: without it the model would not know what it is asked. It may have {known}.")
    return prompt


def voice(prompt: str, question: str, said: Sequence[Said]) -> str:
    """What a voice is asked, with the earlier answers that it sees."""
    lines = "\n".join(one.line for one in said)
    return _filled(prompt or VOICE, {"originalQuestion": question, "previousContext": lines, "previousCount": str(len(said))})


def synthesis(prompt: str, question: str, said: Sequence[Said]) -> str:
    """What the synthesis is asked, with all answers."""
    lines = "\n".join(one.line for one in said)
    return _filled(prompt or SYNTHESIS, {"originalQuestion": question, "entityCount": str(len(said)), "entityResponses": lines})


def _filled(prompt: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), prompt)


def newest(said: Sequence[Said], fits: Callable[[Sequence[Said]], bool]) -> tuple[Said, ...]:
    """As many of the latest answers as fit, for a voice: who answered last has seen the earlier ones. The oldest goes first.

    `fits` says whether a prompt with these answers fits. Raises TooLong if not even a prompt without any does.
    """
    for first in range(len(said) + 1):
        if fits(said[first:]):
            return tuple(said[first:])
    raise TooLong("The question alone is longer than the model's context. Ask more briefly, or give the model more context.")


def evenly(said: Sequence[Said], fits: Callable[[Sequence[Said]], bool]) -> tuple[Said, ...]:
    """All answers, the longest of them cut to one common length so that they fit, for the synthesis: nobody is left out.

    Raises TooLong if they would have to be cut shorter than FEWEST characters.
    """
    if fits(said):
        return tuple(said)
    low, high = FEWEST, max((len(one.text) for one in said), default=FEWEST)
    if not fits(_cut(said, low)):
        raise TooLong(
            f"{len(said)} answers do not fit the model's context, even cut to {FEWEST} characters each. "
            "Ask fewer entities, or let a model with more context write the synthesis."
        )
    while high - low > 1:  # `low` fits, `high` does not
        middle = (low + high) // 2
        low, high = (middle, high) if fits(_cut(said, middle)) else (low, middle)
    return _cut(said, low)


def _cut(said: Sequence[Said], length: int) -> tuple[Said, ...]:
    return tuple(one if len(one.text) <= length else replace(one, text=one.text[: length - 1].rstrip() + "…") for one in said)


def drawn(slugs: Sequence[str], count: int, seed: str) -> tuple[str, ...]:
    """`count` of them, in an order that depends on `seed` only. Raises Refused if there are not so many."""
    if not 1 <= count <= len(slugs):
        raise Refused(f"{count} entities are asked for; {len(slugs)} are enabled besides the one that writes the synthesis.")
    return tuple(sorted(slugs, key=lambda slug: (throw("ensemble", seed, slug), slug))[:count])


def lasting(steps: int) -> timedelta:
    """How long so many steps may take in all."""
    return max(SHORTEST, steps * STEP)


def allowance(now: datetime, deadline: datetime, steps: int) -> datetime:
    """Until when the next of `steps` that are left may begin to be answered: its even part of the time, never beyond the whole's end."""
    return min(deadline, now + max(AT_LEAST, (deadline - now) / max(1, steps)))
