"""Try an entity: have its model answer, and post nothing. The request is the one an answer would send; no reply, no permit, no limit.

It walks steps 3, 4, 8 and 10 for somebody who only wants to see; so it is a table of contents like `cycle`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from cluster import queue, read
from cluster.logic.request import Request
from cluster.read import Story
from conversations.company import cast
from conversations.compose import compose
from conversations.feed.fields import scrub
from conversations.feed.values import TEXT_MAXIMUM
from conversations.logic.message import Line
from conversations.preview import NoEntity, preview
from conversations.tidying import tidied
from entities.logic.persona import Persona
from swwbot_site.lib.errors import BotError, Fault

CALLER: Final = "try"
"""Who asks; followed by a colon and the person's name."""

ASKER: Final = "You"
"""Under this name a person's own words stand in the prompt."""

PATIENCE: Final = timedelta(minutes=10)


class NoTrial(BotError):
    """There is no such trial, or it is nobody's business any more."""

    code = "no-trial"
    fault = Fault.REQUEST


class Wordless(BotError):
    """Nothing was said that could be answered."""

    code = "wordless"
    fault = Fault.REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What became of a trial so far. `text` is what would be posted, `why` why nothing would; both are empty while it is under way."""

    story: Story
    text: str = ""
    why: str = ""
    steps: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        return self.story.ended_at is not None


def rehearse(entity: int | str, who: str, now: datetime, *, said: str = "", message: int | None = None) -> int:
    """Queue what an entity, by key or id, would send for these words or for a message, by our number. Returns the generation.

    The words stand alone, without a conversation; with neither, it is the newest message. Raises BotError: NoEntity, NoMessage,
    Misdirected, Wordless, and what `compose` and `queue.submit` raise.
    """
    persona = _persona(entity)
    with transaction.atomic():
        if message is None and said:
            words = scrub(said).strip()[:TEXT_MAXIMUM]
            if not words:
                raise Wordless("There are no words in it that could be answered.")
            line = Line(id=0, remote_id="", text=words, username=ASKER, timestamp=round(now.timestamp() * 1000), born=now)
            draft = compose(persona, line, (), username=persona.username, model=persona.model, authors=cast().authors)
            model, request = draft.model, draft.request()
        else:
            shown = preview(persona.id, message)
            model, request = shown.model, Request(**shown.request)
        return queue.submit(
            model,
            request,
            caller=f"{CALLER}:{who}"[:100],
            now=now,
            priority=persona.priority,
            deadline=now + PATIENCE,
            pin=persona.preferred_server,
            cache=False,
        )


def outcome(entity: int | str, generation: int) -> Trial:
    """What became of a trial of an entity. Raises NoTrial, NoEntity, and BotError if a plugin fails over the answer."""
    persona = _persona(entity)
    story = read.stories([generation]).get(generation)
    if story is None or not story.caller.startswith(f"{CALLER}:"):
        raise NoTrial(f"There is no trial {generation}.")
    if story.state != "done":
        return Trial(story=story, why=story.error or f"It was {story.state}.") if story.ended_at else Trial(story=story)
    draft = tidied(
        persona,
        story.text,
        username=persona.username,
        others=(ASKER,),
        limit=TEXT_MAXIMUM,
        unfinished=story.finish_reason == "length",
    )
    return Trial(story=story, text=draft.text, why="" if draft.text else draft.why, steps=tuple(str(step) for step in draft.steps))


def _persona(entity: int | str) -> Persona:
    everybody = cast()
    found = next((each for each in everybody.personas if entity in (each.id, each.slug)), None)
    if found is None:
        raise NoEntity(f"There is no entity {entity!r}. Known: {', '.join(everybody.by_slug) or 'none'}.")
    return found
