"""A scenario played: what one entity does at each message, held against what is expected of it.

It plays by the rule of a replay (`replaying`), with these differences: the entity counts as enabled, for a scenario is about who it is
and not whether it is on; of those present the others never speak by chance, unless the dice are seeded; limits are those of the scenario.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from conversations.logic.allowance import Allowance
from conversations.logic.ambient import Means
from conversations.logic.cast import Cast
from conversations.logic.dice import thrower
from conversations.logic.outcome import Outcome, Taken, Tools
from conversations.logic.recording import Heard, Recording
from conversations.logic.replaying import Replay, allowance
from conversations.logic.scenario import Expected, Script, Spoken
from conversations.logic.scene import Scene
from conversations.logic.talk import talk
from conversations.logic.verdict import Verdict, decide
from conversations.logic.weights import Weights
from entities.logic.persona import Persona
from entities.logic.quota import Rule
from entities.logic.selection import Strategy
from swwbot_site.lib.errors import BotError

LOW: Final = 0.0
HIGH: Final = 1.0
ROUNDING: Final = 1e-9


@dataclass(slots=True, kw_only=True)
class Beat:
    """One message of the scenario and what the entity did. `problems` say what should be otherwise."""

    number: int
    spoken: Spoken
    answers: bool = False
    by: str = ""
    chance: float = 0.0
    """How probable an answer was."""
    dice: float | None = None
    why: str = ""
    prompt: str | None = None
    text: str | None = None
    taken: Taken | None = None
    problems: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        told = {name: getattr(self, name) for name in ("number", "answers", "by", "dice", "why", "text", "problems")}
        line = self.spoken.line
        return {**told, "chance": round(self.chance, 6), "who": line.username, "said": line.text[:500]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """What a scenario needs from outside: the entity as it would be, the others by id, its own limits, the project's and plugins' rules."""

    persona: Persona
    others: Sequence[Persona]
    limits: Sequence[Rule]
    weigh: Callable[[Scene, Cast], Weights]
    strategies: Mapping[str, Strategy]
    look: Callable[[Taken, Scene, Cast, Spoken], str | None] = lambda taken, scene, cast, spoken: None
    """The prompt of an answer, if it is wanted; called for each answer of the entity. May raise BotError."""


def play(script: Script, company: Company) -> tuple[Beat, ...]:
    """Play it. Texts are held against their expectations by `heard`, when they are there."""
    persona = replace(company.persona, enabled=True)
    cast = Cast.of((persona, *(one for one in company.others if one.slug != persona.slug)))
    beats = {one.line.remote_id: Beat(number=number, spoken=one) for number, one in enumerate(script.spoken, 1)}

    def dice(ident: str) -> Callable[[str], float]:
        if script.dice == "seeded":
            return thrower(script.house.url, ident)
        own = LOW if script.dice == "low" else HIGH
        return lambda slug: own if slug == persona.slug else HIGH

    def watch(outcome: Outcome, scene: Scene, verdict: Verdict) -> None:
        beat = beats.get(outcome.heard.line.remote_id)
        if beat is not None:
            _judge(beat, outcome, persona.slug)
            beat.chance = _chance(scene, cast, persona.slug, company)
            if beat.taken is not None:
                _look(beat, beat.taken, scene, cast, company)
            _compare(beat, beat.spoken.expected)

    tools = Tools(dice=dice, weigh=company.weigh, strategies=company.strategies, answer_s=script.answer_s, watch=watch)
    for _ in Replay(_recording(script, cast), cast, _allowance(script, company, cast), tools).run():
        pass
    return tuple(beats.values())


def _recording(script: Script, cast: Cast) -> Recording:
    def heard(one: Spoken) -> Heard:
        line, params = one.line, one.line.params or {}
        asked = str(params.get("entity") or "") if line.human else ""
        key = talk((line.username, line.color), line.domain, script.house.domain, cast, entity=asked, wish=str(params.get("ais") or ""))
        return Heard(line=replace(line, conversation=key), arrived=one.at)

    return Recording(house=script.house, heard=tuple(heard(one) for one in script.spoken))


def _allowance(script: Script, company: Company, cast: Cast) -> Allowance:
    return allowance(cast, {company.persona.slug: company.limits if script.limits is None else script.limits}, (), script.house.name)


def _judge(beat: Beat, outcome: Outcome, slug: str) -> None:
    beat.taken = next((one for one in outcome.now if one.said.slug == slug), None)
    beat.answers = beat.taken is not None
    if beat.taken is None:
        beat.why = outcome.refused.get(slug) or str(outcome.told["no"].get(slug) or outcome.told["why"])
        return
    yes = beat.taken.yes
    beat.dice, beat.why = yes.dice, ", ".join(yes.rules)
    rule = yes.rules[0]
    beat.by = "chance" if yes.chance is not None else "id" if rule == "botParams.entity" else rule.partition(" ")[0]


def _chance(scene: Scene, cast: Cast, slug: str, company: Company) -> float:
    """How probable an answer of the entity is, others left aside: 1 if it is asked, 0 if it does not listen."""

    def weigh() -> Weights:
        return company.weigh(scene, cast)

    means = Means(dice=lambda one: LOW if one == slug else HIGH, weigh=weigh, strategies=company.strategies)
    found = next((yes for yes in decide(scene, cast.audience, means).yes if yes.persona.slug == slug), None)
    if found is None:
        return 0.0
    return 1.0 if found.chance is None else found.chance


def _look(beat: Beat, taken: Taken, scene: Scene, cast: Cast, company: Company) -> None:
    try:
        beat.prompt = company.look(taken, scene, cast, beat.spoken)
    except BotError as error:
        beat.problems.append(f"its prompt cannot be put together: {error}")


def _compare(beat: Beat, expected: Expected) -> None:
    """What was decided, and the prompt."""
    told = f"the chance was {beat.chance:.3f}{'' if beat.dice is None else f', the dice {beat.dice:.3f}'}"
    if expected.answers is True and not beat.answers:
        beat.problems.append(f"must answer, but is silent: {beat.why} ({told})")
    if expected.answers is False and beat.answers:
        beat.problems.append(f"must be silent, but answers: {beat.why} ({told})")
    if beat.answers and expected.by and expected.by != beat.by:
        beat.problems.append(f"must answer by {expected.by}, but answers by {beat.by}: {beat.why}")
    if expected.chance is not None and not expected.chance[0] - ROUNDING <= beat.chance <= expected.chance[1] + ROUNDING:
        low, high = expected.chance
        wanted = f"{low:g}" if low == high else f"from {low:g} to {high:g}"
        beat.problems.append(f"its chance must be {wanted}, but is {beat.chance:.4g}: {beat.why}")
    if expected.why and expected.why.casefold() not in beat.why.casefold():
        beat.problems.append(f"the reason must have {expected.why!r} in it, but is {beat.why!r}")
    if beat.prompt is not None:
        beat.problems += [f"its prompt must have {text[:80]!r} in it, and has not" for text in expected.contains if text not in beat.prompt]
        beat.problems += [f"its prompt must not have {text[:80]!r} in it, and has" for text in expected.lacks if text in beat.prompt]


def heard(beat: Beat, text: str, why: str) -> None:
    """What a real model said, cleaned; or why nothing is left of it."""
    expected = beat.spoken.expected
    beat.text = text or f"({why})"
    if not text:
        beat.problems.append(f"there is no text: {why}")
        return
    beat.problems += [f"its text must match {one.pattern!r}: {text[:200]!r}" for one in expected.matches if not one.search(text)]
    beat.problems += [f"its text must not match {one.pattern!r}: {text[:200]!r}" for one in expected.avoids if one.search(text)]
    if expected.longest is not None and len(text) > expected.longest:
        beat.problems.append(f"its text has {len(text)} characters; {expected.longest} are the most")
