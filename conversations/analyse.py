"""Step 3: what surrounds a message: its conversation before it, who is called, what is asked and talked about, how lively it is."""

from datetime import datetime
from typing import Final

from conversations import stage
from conversations.address import line
from conversations.logic import activity
from conversations.logic.cast import Cast, heard
from conversations.logic.detection import question
from conversations.logic.grouping import Group, groups, stretch
from conversations.logic.message import Line
from conversations.logic.overrides import nom
from conversations.logic.scene import Scene
from conversations.logic.signals import Signals
from conversations.logic.topics import topics
from conversations.models import Feed, Message
from conversations.windows import Windows

LEAST: Final = 60
"""Lines that signals are about; no window is shorter, if there are so many."""

GROUPED: Final = 30
"""Lines in which it is looked who talks with whom."""


def analyse(
    message: Message, feed: Feed, cast: Cast, now: datetime, windows: Windows | None = None, sight: stage.Sight | None = None
) -> Scene:
    """Everything that the verdict on `message` depends on, besides the personas.

    `windows` are those of its batch, `sight` is that of the running transaction.
    """
    said = line(message)
    wanted = max(LEAST, nom(said.params or {}) or cast.longest)
    before = (windows or Windows()).before(message, wanted)
    near = stretch(before, said, feed.window_gap_s)
    signals = _signals(said, near, cast, whole=len(near) < len(before) or len(before) < wanted, last=before[-1:])
    room = stage.room(message, feed, before, now, bots=cast.audience.answers_bots, sight=sight)
    return Scene(message=said, window=near, room=room, signals=signals)


def _signals(said: Line, near: tuple[Line, ...], cast: Cast, *, whole: bool, last: tuple[Line, ...]) -> Signals:
    lately, present = near[-LEAST:], activity.at(said)
    why = question(said.text)
    spoken = heard(said.text)
    about = topics(said.text, (one.text for one in lately))
    moments = [activity.at(one) for one in lately]
    return Signals(
        question=bool(why),
        why_question=why,
        mentions=cast.called(spoken),
        triggers=cast.triggered(spoken),
        topics=about,
        interests=cast.interested(about),
        activity=activity.activity(moments, present, whole=whole and len(lately) == len(near)),
        silence_s=activity.silence((activity.at(one) for one in last), present),
        participants=activity.participants(lately),
        company=_company(said, groups((*lately[-GROUPED:], said))),
        conversation=said.conversation,
    )


def _company(said: Line, among: tuple[Group, ...]) -> tuple[str, ...]:
    """Whom its author talks with."""
    own = next(group for group in among if group.lines[-1] is said)
    return tuple(name for name in own.names if name != said.username)
