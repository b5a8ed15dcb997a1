"""Ensembles as values, for pages and commands: what was asked, who has said what, and by which model."""

from dataclasses import dataclass
from datetime import datetime

from cluster import read as cluster
from cluster.read import Story
from conversations.logic.lifecycle import EnsembleState, VoiceState
from conversations.models import Ensemble, Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoke:
    """One step. `seconds` from being asked to having answered; `posted` is the state of its reply, empty if it is not to be posted."""

    ordinal: int
    entity: str
    username: str
    synthesis: bool
    state: str
    text: str
    reason: str
    model: str
    server: str
    seconds: float | None
    posted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """An ensemble as it stands. `answered` of `voices` have given an answer; `text` is the synthesis."""

    id: int
    state: str
    question: str
    asked_by: str
    key: str
    created_at: datetime
    deadline: datetime
    ended_at: datetime | None
    answered: int
    voices: int
    steps: tuple[Spoke, ...]
    text: str
    reason: str

    @property
    def running(self) -> bool:
        """Whether more is to come."""
        return self.state == EnsembleState.RUNNING


def course(ensemble_id: int) -> Course | None:
    """One ensemble, its steps in their order."""
    row = Ensemble.objects.filter(pk=ensemble_id).first()
    if row is None:
        return None
    steps = spoken(row)
    voices = [one for one in steps if not one.synthesis]
    same = {name: getattr(row, name) for name in ("state", "question", "asked_by", "created_at", "deadline", "ended_at", "text", "reason")}
    return Course(
        id=row.pk,
        **same,
        key=row.key or "",
        answered=sum(1 for one in voices if one.state == VoiceState.DONE),
        voices=len(voices),
        steps=steps,
    )


def spoken(row: Ensemble) -> tuple[Spoke, ...]:
    """The steps of an ensemble, in their order."""
    voices = list(row.voices.select_related("entity", "reply").order_by("ordinal"))
    generations = {voice.pk: voice.reply.generation_id if voice.reply else voice.generation_id for voice in voices}
    told = cluster.stories(pk for pk in generations.values() if pk)
    return tuple(_spoke(voice, told.get(generations[voice.pk] or 0)) for voice in voices)


def _spoke(voice: Voice, story: Story | None) -> Spoke:
    began, ended = voice.asked_at, voice.ended_at
    return Spoke(
        ordinal=voice.ordinal,
        entity=voice.entity.slug,
        username=voice.entity.username,
        synthesis=voice.synthesis,
        state=voice.state,
        text=voice.text,
        reason=voice.reason,
        model=story.model if story else "",
        server=story.server if story else "",
        seconds=(ended - began).total_seconds() if began and ended else None,
        posted=voice.reply.state if voice.reply else "",
    )
