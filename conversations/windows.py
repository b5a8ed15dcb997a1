"""The lines before messages: those of a batch are read with one query for each conversation."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.db.models.functions import Substr

from conversations.logic.message import Line
from conversations.models import Message

LONGEST_TEXT: Final = 10_000
"""Characters that are read of a line before the message; no prompt shows so many."""

MOST: Final = 20_000_000
"""Characters that are kept of all conversations of a batch together; beyond that the one that was read first is read again."""

LINE: Final = 500
"""What a line costs besides its text."""

_COLUMNS: Final = (
    "id", "remote_id", "start", "username", "color", "kind", "timestamp", "born_at", "own", "domain", "reply_to", "conversation",
)  # fmt: skip

Talk = tuple[int, str]
"""A feed and the key of one of its conversations."""

_Key = tuple[int, int]


class Windows:
    """What was said before messages, in their conversations. It does not see what is stored after it was made."""

    def __init__(self, expected: Iterable[Talk] = (), most: int = MOST) -> None:
        """`expected`: the conversations of the messages that windows will be wanted for, one for each message; `most` characters are kept."""
        self._most = most
        self._wanted: dict[Talk, int] = {}
        for talk in expected:
            self._wanted[talk] = self._wanted.get(talk, 0) + 1
        self._read: dict[tuple[Talk, int], tuple[list[_Key], list[Line], bool]] = {}
        self._size = 0

    def before(self, message: Message, lines: int) -> tuple[Line, ...]:
        """The last `lines` of the message's conversation before it, oldest first; without what they say to bots."""
        talk, key = (message.feed_id, message.conversation), (message.timestamp, message.pk)
        wanted = self._wanted.get(talk, 0)
        if wanted > 1:
            keys, found, whole = self._read.get((talk, lines)) or self._batch(talk, lines, lines + wanted)
            end = bisect_left(keys, key)
            if end >= lines or whole:
                return tuple(found[max(0, end - lines) : end])
        return tuple(_lines(talk, lines, message))

    def _batch(self, talk: Talk, lines: int, most: int) -> tuple[list[_Key], list[Line], bool]:
        """The newest lines of a conversation, and whether these are all."""
        found = _lines(talk, most)
        self._read[talk, lines] = batch = [(one.timestamp, one.id) for one in found], found, len(found) < most
        self._size += _size(found)
        while self._size > self._most and len(self._read) > 1:
            _, old, _ = self._read.pop(next(iter(self._read)))
            self._size -= _size(old)
        return batch


def _size(lines: Sequence[Line]) -> int:
    return sum(LINE + len(line.text) for line in lines)


def talks(ids: Sequence[int]) -> dict[int, Talk]:
    """The conversations of these messages."""
    rows = Message.objects.filter(pk__in=ids).order_by().values_list("pk", "feed_id", "conversation")
    return {pk: (feed_id, conversation) for pk, feed_id, conversation in rows}


def _lines(talk: Talk, most: int, before: Message | None = None) -> list[Line]:
    """The newest lines of a conversation, oldest first."""
    rows = Message.objects.filter(feed_id=talk[0], conversation=talk[1])
    if before is not None:
        rows = rows.filter(timestamp__lte=before.timestamp).exclude(timestamp=before.timestamp, id__gte=before.pk)
    rows = rows.order_by("-timestamp", "-id")
    columns: Any = rows.annotate(start=Substr("text", 1, LONGEST_TEXT)).values_list(*_COLUMNS)[:most]
    found = [_line(*row) for row in columns]
    found.reverse()
    return found


def _line(
    pk: int, remote_id: str, text: str, username: str, color: str, kind: str, timestamp: int, born: Any, own: bool, *place: str
) -> Line:
    domain, reply_to, conversation = place
    return Line(
        id=pk,
        remote_id=remote_id,
        text=text,
        username=username,
        color=color,
        kind=kind,
        timestamp=timestamp,
        born=born,
        own=own,
        domain=domain,
        reply_to=reply_to,
        conversation=conversation,
    )
