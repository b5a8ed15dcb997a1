"""What an entity would send to its model for a message, put together as an answer would be, without an answer: nothing is queued or written.

It walks the steps 3 and 4 for one entity, whether or not it would answer; so it is a table of contents like `cycle`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from cluster import queue
from conversations.analyse import analyse
from conversations.company import cast
from conversations.compose import compose
from conversations.logic.dice import throw
from conversations.logic.overrides import overrides
from conversations.logic.prompt import Draft
from conversations.models import Message
from entities.logic.persona import Persona
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError, Fault


class NoEntity(BotError):
    """There is no entity of that id."""

    code = "no-entity"
    fault = Fault.REQUEST


class NoMessage(BotError):
    """There is nothing to answer."""

    code = "no-message"
    fault = Fault.REQUEST


class Misdirected(BotError):
    """The message asks for what there is not: an identity or a model."""

    code = "misdirected"
    fault = Fault.REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A request as it would be queued now, and what became of the rest."""

    entity: str
    username: str
    """Whom it would answer as."""
    message: int
    said: str
    """The message as its line in the prompt."""
    model: str
    server: str
    """The only server that may answer; empty for any."""
    request: dict[str, Any]
    """Messages, sampling, max_tokens, stop; as a generation keeps it."""
    tokens: int
    room: int
    shown: int
    """Lines of the conversation in it, the message's own included."""
    dropped: tuple[str, ...]
    note: str = ""
    """What is odd about the model."""

    def document(self) -> dict[str, Any]:
        """As JSON, for machines."""
        return {name: getattr(self, name) for name in self.__slots__} | {"dropped": list(self.dropped)}


def preview(entity: int | str, message_id: int | None = None) -> Preview:
    """The request of an entity, by primary key or id, for a message, by our number; without one, for the newest that it would not post.

    Raises BotError: NoEntity, NoMessage, Misdirected, and what `compose` raises: what would end the answer.
    """
    everybody = cast()
    persona = next((each for each in everybody.personas if entity in (each.id, each.slug)), None)
    if persona is None:
        raise NoEntity(f"There is no entity {entity!r}. Known: {', '.join(everybody.by_slug) or 'none'}.")
    rows = Message.objects.select_related("feed").order_by("-id")
    message = rows.filter(pk=message_id).first() if message_id is not None else rows.filter(own=False, text__gt="").first()
    if message is None:
        which = "There is no message yet" if message_id is None else f"There is no message {message_id}"
        raise NoMessage(f"{which}. `trace` and the list of messages show their numbers.")
    with transaction.atomic():
        scene = analyse(message, message.feed, everybody, clock.now())
        try:
            wishes = overrides(scene.message, persona, partial(throw, message.remote_id, persona.slug))
        except ValueError as error:
            raise Misdirected(f"{persona.username} would not answer message {message.pk}: {error}.") from error
        draft = compose(persona, scene.message, scene.window, username=wishes.username, model=wishes.model, authors=everybody.authors)
    return _told(persona, message.pk, wishes.username, draft)


def _told(persona: Persona, message: int, username: str, draft: Draft) -> Preview:
    model, note = draft.model, ""
    try:
        model = queue.known(draft.model).key
    except BotError as error:
        note = str(error)
    return Preview(
        entity=persona.slug,
        username=username,
        message=message,
        said=draft.shown[-1],
        model=model,
        server=persona.preferred_server,
        request=draft.request().document(),
        tokens=draft.tokens,
        room=draft.room,
        shown=len(draft.lines),
        dropped=tuple(draft.dropped),
        note=note,
    )
