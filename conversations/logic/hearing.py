"""What surrounds a message, found in the lines before it: who is called, what is asked and talked about, how lively it is."""

from collections.abc import Sequence
from typing import Final

from conversations.logic import activity
from conversations.logic.cast import Cast, heard
from conversations.logic.detection import question
from conversations.logic.grouping import Group, groups, stretch
from conversations.logic.message import Line
from conversations.logic.overrides import nom
from conversations.logic.scene import Room, Scene
from conversations.logic.signals import Signals
from conversations.logic.topics import topics

LEAST: Final = 60
"""Lines that signals are about; no window is shorter, if there are so many."""

GROUPED: Final = 30
"""Lines in which it is looked who talks with whom."""


def wanted(said: Line, cast: Cast) -> int:
    """How many lines before a message its scene needs."""
    return max(LEAST, nom(said.params or {}) or cast.longest)


def scene(said: Line, before: Sequence[Line], room: Room, cast: Cast, *, gap_s: float) -> Scene:
    """The scene of a message, from the last `wanted` lines of its conversation before it, oldest first; `gap_s` ends a conversation."""
    near = stretch(before, said, gap_s)
    whole = len(near) < len(before) or len(before) < wanted(said, cast)
    return Scene(message=said, window=near, room=room, signals=_signals(said, near, cast, whole=whole, last=before[-1:]))


def _signals(said: Line, near: tuple[Line, ...], cast: Cast, *, whole: bool, last: Sequence[Line]) -> Signals:
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
