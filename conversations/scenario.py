"""Scenarios of entities: played, kept, and asked before a changed entity is kept. Nothing is posted, and with stub models nothing queued.

A required scenario that cannot be read keeps its entity from being changed as one that fails does; the text says how to take that back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from conversations import asking
from conversations.compose import compose
from conversations.feed.values import TEXT_MAXIMUM
from conversations.logic.cast import Cast
from conversations.logic.outcome import Taken
from conversations.logic.reading import MOST_PROBLEMS, Unreadable
from conversations.logic.rehearsal import Beat, Company, heard, play
from conversations.logic.scenario import REQUIRED, Script, Spoken, parse
from conversations.logic.scene import Scene
from conversations.models import Scenario
from conversations.weighing import weigh
from entities import choose, read
from entities.logic.persona import Persona
from swwbot_site.lib import clock, hooks
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.readonly import readonly

PATIENCE_S: Final = 300.0
"""For all answers of one scenario by real models."""

WAY_OUT: Final = "change it, or take its “required” back (Scenarios in the admin, or manage.py scenario optional --entity {} --name “{}”)"


class ScenarioError(BotError):
    """A scenario that there is not, or that cannot be read."""

    code = "scenario"
    fault = Fault.REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A scenario that was played. `error` says why it could not be."""

    entity: str
    name: str
    required: bool = False
    beats: tuple[Beat, ...] = ()
    error: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, each with its message."""
        told = (f"message {one.number} “{one.spoken.line.text[:60]}”: {problem}" for one in self.beats for problem in one.problems)
        return (self.error,) if self.error else tuple(told)

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """As JSON."""
        told = {"entity": self.entity, "name": self.name, REQUIRED: self.required, "passed": self.passed, "error": self.error}
        return told | {"messages": [one.document() for one in self.beats]}


Tick = Callable[[Result], Any]


def run(
    entity: str = "", name: str = "", *, real: bool = False, ids: Iterable[int] | None = None, tick: Tick = lambda _: None
) -> list[Result]:
    """Play the stored scenarios of an entity, or of all, and keep the results. Raises ScenarioError if there is none."""
    rows = Scenario.objects.select_related("entity").order_by("entity__slug", "name")
    rows = rows if ids is None else rows.filter(pk__in=list(ids))
    rows = rows.filter(entity__slug=entity) if entity else rows
    rows = rows.filter(name=name) if name else rows
    results: list[Result] = []
    for row in rows:
        persona = read.one(row.entity_id)
        if persona is None:
            continue
        result = _played(row.document, persona, row.name, required=row.required, real=real)
        Scenario.objects.filter(pk=row.pk).update(ran_at=clock.now(), passed=result.passed, result=result.document())
        results.append(result)
        tick(result)
    if not results:
        whose = f" of the entity {entity!r}" if entity else ""
        raise ScenarioError(f"There is no scenario{f' {name!r}' if name else ''}{whose}. Make one in the admin, or with scenario add FILE.")
    return results


def rehearse(documents: Any, entity: str = "", *, real: bool = False, tick: Tick = lambda _: None) -> list[Result]:
    """Play scenarios that stand in no row: one document, or a list of them. Raises ScenarioError."""
    results: list[Result] = []
    for document in listed(documents):
        script = _script(document, entity)
        found = read.named([script.entity])
        if not found:
            raise ScenarioError(f"{script.name}: there is no entity {script.entity!r}.")
        results.append(_played(document, found[0], script.name, required=bool(document.get(REQUIRED)), real=real))
        tick(results[-1])
    return results


def problems(persona: Persona) -> list[str]:
    """Why its required scenarios forbid that an entity becomes so. For the hook `persona_problems`; no row is written."""
    found: list[str] = []
    for row in Scenario.objects.filter(entity_id=persona.id, required=True).order_by("name"):
        result = _played(row.document, persona, row.name, required=True)
        way_out = WAY_OUT.format(persona.slug, row.name)
        if result.error:
            found.append(f"its required scenario “{row.name}” cannot be played: {result.error}; {way_out}")
        else:
            found += [f"its required scenario “{row.name}” fails, {problem}; {way_out}" for problem in result.problems[:MOST_PROBLEMS]]
    return found


def check(document: Any, entity: str, name: str) -> tuple[str, ...]:
    """What is wrong with a document, each with its path."""
    try:
        parse(document, entity, name)
    except Unreadable as error:
        return error.problems
    return ()


@transaction.atomic
def add(documents: Any, entity: str = "", *, required: bool | None = None) -> list[str]:
    """Keep scenarios, in the place of those of the same entity and name. Returns what was kept; all or none. Raises ScenarioError."""
    kept: list[str] = []
    for document in listed(documents):
        script = _script(document, entity)
        found = read.named([script.entity])
        if not found:
            raise ScenarioError(f"{script.name}: there is no entity {script.entity!r}.")
        bare = {key: value for key, value in document.items() if key not in ("entity", "name", REQUIRED)}
        values: dict[str, Any] = {"document": bare, "passed": None, "ran_at": None, "result": {}}
        wanted = document.get(REQUIRED) if required is None else required
        if wanted is not None:
            values["required"] = bool(wanted)
        Scenario.objects.update_or_create(entity_id=found[0].id, name=script.name, defaults=values)
        kept.append(f"{script.entity}: {script.name}")
    return kept


def export(entity: str = "") -> list[dict[str, Any]]:
    """The stored scenarios as a file has them."""
    rows = Scenario.objects.select_related("entity").order_by("entity__slug", "name")
    rows = rows.filter(entity__slug=entity) if entity else rows
    return [{"entity": row.entity.slug, "name": row.name, REQUIRED: row.required, **row.document} for row in rows]


def require(entity: str, name: str, required: bool) -> None:
    """Whether the entity is only changed if this scenario passes. Raises ScenarioError if there is no such scenario."""
    if not Scenario.objects.filter(entity__slug=entity, name=name).update(required=required):
        raise ScenarioError(f"The entity {entity!r} has no scenario {name!r}.")


def listed(documents: Any) -> Sequence[Mapping[str, Any]]:
    """One document or a list of them, as a list. Raises ScenarioError."""
    them = documents if isinstance(documents, list) else [documents]
    for one in them:
        if not isinstance(one, Mapping):
            raise ScenarioError("A file of scenarios holds one object, or a list of objects.")
    return them


def _script(document: Mapping[str, Any], entity: str) -> Script:
    try:
        return parse(document, "" if document.get("entity") else entity)
    except Unreadable as error:
        raise ScenarioError(f"The scenario {str(document.get('name') or 'without a name')!r} cannot be read: {error}") from error


def _played(document: Any, persona: Persona, name: str, *, required: bool, real: bool = False) -> Result:
    hooks.load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
    try:
        script = parse(document, persona.slug, name)
        others = read.named(script.others)
        if lost := sorted({*script.others} - {one.slug for one in others}):
            raise Unreadable([f"$.setting.present names {', '.join(lost)}, which no entity is called"])
    except Unreadable as error:
        return Result(entity=persona.slug, name=name, required=required, error=str(error))
    questions: list[tuple[str, asking.Question]] = []

    def look(taken: Taken, scene: Scene, cast: Cast, spoken: Spoken) -> str | None:
        if real:
            questions.append((spoken.line.remote_id, asking.question(taken, scene, cast)))
        return _prompt(taken, scene, cast) if spoken.expected.prompt else None

    company = Company(
        persona=persona,
        others=others,
        limits=read.rules().own.get(persona.slug, ()) if script.limits is None else (),
        weigh=lambda scene, cast: weigh(scene, cast, tell=False),
        strategies=choose.table(),
        look=look,
    )
    with readonly():
        beats = play(script, company)
    if questions:
        limit = min(TEXT_MAXIMUM, script.house.max_text)
        asking.ask([one for _, one in questions], f"scenario:{persona.slug}", limit, PATIENCE_S)
        answered = dict(questions)
        for beat in beats:
            if (one := answered.get(beat.spoken.line.remote_id)) is not None:
                heard(beat, one.text, one.why)
    return Result(entity=persona.slug, name=name, required=required, beats=beats)


def _prompt(taken: Taken, scene: Scene, cast: Cast) -> str:
    """The whole text of the request. Raises BotError."""
    persona, wishes = taken.yes.persona, taken.wishes
    draft = compose(persona, scene.message, scene.window, username=wishes.username, model=wishes.model, authors=cast.authors)
    return "\n".join(one["content"] for one in draft.messages)
