"""Clean what a model wrote: the project's own rules and those of plugins, all through the hook `after_reply`.

The own rules come first (see `behaviors`). What a plugin makes of the text afterwards is held to what holds for every post: its length,
one speaker, no phrase that is filtered out. This may be called more than once for one answer, if an engine dies in between; no row is
written here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from django.conf import settings

from conversations.logic.reply import Draft, fit
from conversations.logic.visible import visible
from conversations.models import ConversationPolicy
from entities.logic.persona import Persona
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.hooks import every, load

NAME: Final = 100
WHY: Final = 1000
"""Characters of a step's name and of a reason that are kept."""


class Unsound(BotError):
    """A plugin left something in a draft that is no text."""

    code = "plugin-failed"
    fault = Fault.OPERATOR


def tidied(
    persona: Persona,
    raw: str,
    *,
    username: str,
    others: Iterable[str],
    limit: int,
    recent: Sequence[str] = (),
    unfinished: bool = False,
    policy: ConversationPolicy | None = None,
) -> Draft:
    """The draft of an answer, cleaned: its `text` is at most `limit` UTF-16 units, or empty, and then `why` says the reason.

    `others` are the other speakers that it knows, `recent` own posts that it must not repeat; `unfinished`: the model ran out of tokens.
    Raises BotError if a plugin fails.
    """
    common = policy or ConversationPolicy.current()
    draft = Draft(
        persona=persona,
        raw=raw,
        text=raw,
        username=username,
        others=sorted({name for name in others if name and name != username}),
        limit=limit,
        recent=recent,
        filter_out=tuple(common.filter_out),
        trim_after=tuple(common.trim_after),
        stop=tuple(common.stop),
        unfinished=unfinished,
    )
    given = replace(draft, steps=[])
    load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
    every("after_reply", draft=draft)
    named: Any = draft.steps
    left = (draft.text, draft.why, *(named if isinstance(named, list) else (named,)))
    for value in left:
        if not isinstance(value, str):
            raise Unsound(f"A plugin's after_reply left {type(value).__name__} where text belongs. Mend it, or take it out of PLUGINS.")
    why = visible(draft.why)[:WHY].strip() or ("a plugin does not want it posted" if draft.why else "")
    steps = [visible(name)[:NAME] for name in draft.steps]
    tidy = replace(given, text=draft.text, why=why, again=bool(draft.again), steps=steps)
    if tidy.why:
        tidy.text = ""
    else:
        fit(tidy)
    return tidy
