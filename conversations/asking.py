"""Requests put together for answers that are never posted, asked of the real cluster at the lowest priority, and cleaned as real ones are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from cluster import queue, read
from cluster.logic.lifecycle import ENDED, GenerationState
from conversations.compose import compose
from conversations.logic.cast import Cast
from conversations.logic.outcome import Taken
from conversations.logic.prompt import Draft
from conversations.logic.scene import Scene
from conversations.models import ConversationPolicy
from conversations.tidying import tidied
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError

PRIORITY: Final = 99
LOOK_S: Final = 0.2
"""Between two looks while it waits."""


@dataclass(slots=True, kw_only=True)
class Question:
    """One answer that is wanted from a model. `text` is what would be posted; empty, and then `why` says the reason."""

    taken: Taken
    scene: Scene
    draft: Draft | None = None
    text: str = ""
    why: str = ""

    @property
    def told(self) -> str:
        """What came of it."""
        return self.text or f"({self.why})"


def question(taken: Taken, scene: Scene, cast: Cast) -> Question:
    """The request for an answer; rows are only read."""
    it = Question(taken=taken, scene=scene)
    wishes = taken.wishes
    try:
        it.draft = compose(
            taken.yes.persona, scene.message, scene.window, username=wishes.username, model=wishes.model, authors=cast.authors
        )
    except BotError as error:
        it.why = str(error)
    return it


def ask(
    them: Sequence[Question], caller: str, limit: int, patience_s: float, tick: Callable[[int, int], None] = lambda done, all_: None
) -> None:
    """Have the cluster answer them all, and clean what it says. `limit` are UTF-16 units; `tick` hears how many of how many are done.

    An engine has to run. What is not answered after `patience_s` is called off.
    """
    now = clock.now()
    deadline = now + timedelta(seconds=patience_s)
    waiting: dict[int, Question] = {}
    for it in them:
        if it.draft is not None and (number := _queued(it, it.draft, caller, deadline, now)) is not None:
            waiting[number] = it
    policy = ConversationPolicy.current()
    whole = len(waiting)
    while waiting and clock.now() < deadline:
        for number, story in read.stories(waiting).items():
            if story.state in ENDED:
                it = waiting.pop(number)
                if story.state == GenerationState.DONE:
                    _cleaned(it, story.text, limit, policy, unfinished=story.finish_reason == "length")
                else:
                    it.why = story.error or f"its generation was {story.state}"
        tick(whole - len(waiting), whole)
        if waiting:
            time.sleep(LOOK_S)
    for number, it in waiting.items():
        queue.cancel(number, clock.now(), "nobody waits for it any more")
        it.why = f"no answer within {patience_s:g} s; is an engine running?"


def _queued(it: Question, draft: Draft, caller: str, deadline: datetime, now: datetime) -> int | None:
    persona = it.taken.yes.persona
    try:
        with transaction.atomic():
            return queue.submit(
                draft.model,
                draft.request(),
                caller=caller[:100],
                now=now,
                priority=PRIORITY,
                deadline=deadline,
                pin=persona.preferred_server,
                cache=persona.cache_answers,
            )
    except BotError as error:
        it.why = str(error)
        return None


def _cleaned(it: Question, raw: str, limit: int, policy: ConversationPolicy, *, unfinished: bool) -> None:
    assert it.draft is not None
    others = (it.scene.message.username.strip(), *(one.name for one in it.draft.lines if one.name))
    try:
        draft = tidied(
            it.taken.yes.persona, raw, username=it.taken.wishes.username, others=others, limit=limit, unfinished=unfinished, policy=policy
        )
    except BotError as error:
        it.why = str(error)
        return
    it.text, it.why = draft.text, draft.why
