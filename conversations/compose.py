"""Put the request for an answer together: what the persona sees, in its format, within the context that the model really has."""

from collections.abc import Sequence

from django.conf import settings

from cluster import queue
from conversations.logic import prompt
from conversations.logic.context import Slugs, lines, sees
from conversations.logic.fence import named
from conversations.logic.message import Line
from conversations.logic.prompt import Draft
from conversations.logic.sane import sane
from entities.logic.persona import Persona
from swwbot_site.lib.hooks import every, load


def compose(persona: Persona, message: Line, seen: Sequence[Line], *, username: str, model: str, authors: Slugs) -> Draft:
    """The request that answers `message` as `username`; `seen` is the conversation before it, of which a persona sees its part.

    An empty `model` is the cluster's default one. A model that is not the persona's own was wished by a stranger: the cluster must
    know it. Raises BotError: UnknownModel, TooLong, PluginFailed, or what a plugin raised of that kind.
    """
    wished = bool(model) and model != persona.model
    if wished:
        model = queue.known(model).key
    heard = [line for line in seen if sees(persona, line, authors, username)]
    draft = prompt.draft(
        persona,
        lines(persona, message, heard, username, authors),
        username=named(username),
        model=model,
        room=queue.context_length(model, persona.preferred_server),
    )
    load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
    every("before_prompt", draft=draft)
    sane(draft)
    prompt.finish(draft)
    return draft
