"""One message's way through all stages, from its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cluster import read as cluster
from cluster.read import Story
from conversations.models import Message, Reply
from swwbot_site.lib import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stage and when it was passed, None if it was not (yet). `note` says with what."""

    name: str
    at: datetime | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One entity's answer. `tried` are attempts that failed, as the cluster noted them."""

    reply: int
    generation: int | None
    entity: str
    username: str
    state: str
    mode: str
    verdict: Mapping[str, Any]
    steps: tuple[Step, ...]
    tried: tuple[Any, ...]
    decision: Mapping[str, Any]
    written: str
    """What the model wrote."""
    text: str
    """What of it is posted."""
    reason: str
    outgoing_id: str
    drafts: tuple[Mapping[str, Any], ...]
    """Earlier generations of it: number, what was written, why it is not posted."""
    original: str
    """What would have been posted before a person changed it."""
    judged: str
    """Who approved, changed or rejected it, and when."""
    attempts: int
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A message with its verdict and every answer to it."""

    message: int
    feed: str
    remote_id: str
    kind: str
    username: str
    text: str
    verdict: Mapping[str, Any]
    steps: tuple[Step, ...]
    ways: tuple[Way, ...]


def find(name: str) -> tuple[int, ...]:
    """The messages that `name` means: an outgoing id (not our post, but what it answers), a feed's id, `message:7`, `reply:7`, or a
    bare number of either, in this order.
    """
    kind, _, number = name.rpartition(":")
    looks = [Message.objects.filter(replies__outgoing_id=name), Message.objects.filter(remote_id=name)]
    if number.isdecimal() and len(number) < 19:
        if kind in ("", "message"):
            looks.append(Message.objects.filter(pk=int(number)))
        if kind in ("", "reply"):
            looks.append(Message.objects.filter(replies__pk=int(number)))
    for look in looks:
        found = tuple(look.order_by("pk").values_list("pk", flat=True)[:10])
        if found:
            return found
    return ()


def message_of(reply: int) -> int | None:
    """The message that an answer of ours is to; None if there is no such answer."""
    return Reply.objects.filter(pk=reply).values_list("message_id", flat=True).first()


def trace(pk: int) -> Journey:
    """The way of a message. Raises Message.DoesNotExist."""
    row = Message.objects.select_related("feed").get(pk=pk)
    replies = list(Reply.objects.filter(message=row).select_related("permit").order_by("pk"))
    slugs = dict(Reply.objects.filter(message=row).values_list("pk", "entity__slug"))
    stories = cluster.stories(reply.generation_id for reply in replies if reply.generation_id is not None)
    return Journey(
        message=row.pk,
        feed=row.feed.name,
        remote_id=row.remote_id,
        kind=row.kind,
        username=row.username,
        text=row.text,
        verdict=row.verdict,
        steps=(
            Step(name="said", at=clock.moment(row.timestamp), note=f"by {row.username or 'anon'} in {row.feed.name}"),
            Step(name="received", at=row.received_at, note="our own post" if row.own else ""),
            Step(name="decided", at=row.decided_at, note=_count(len(replies)) if row.decided_at else ""),
        ),
        ways=tuple(_way(reply, slugs[reply.pk], stories.get(reply.generation_id or 0)) for reply in replies),
    )


def _way(row: Reply, entity: str, story: Story | None) -> Way:
    return Way(
        reply=row.pk,
        generation=row.generation_id,
        entity=entity,
        username=row.username,
        state=row.state,
        mode=row.mode,
        verdict=row.verdict,
        steps=(
            Step(name="decided", at=row.decided_at, note=f"{entity} answers, {row.mode}"),
            _permit(row),
            *_served(story),
            *_delivered(row),
        ),
        tried=story.tried if story else (),
        decision=story.decision if story else {},
        written=story.text if story else "",
        text=row.text,
        reason=row.reason,
        outgoing_id=row.outgoing_id or "",
        drafts=tuple(row.drafts),
        original=row.original,
        judged=f"{row.judged_by} at {row.judged_at:%Y-%m-%d %H:%M:%S} UTC" if row.judged_by and row.judged_at else row.judged_by,
        attempts=row.attempts,
        deadline=row.deadline,
    )


def _permit(row: Reply) -> Step:
    if row.permit is None:
        return Step(name="permit", at=None, note=f"asked again at {row.permit_at:%H:%M:%S} UTC" if row.permit_at else "")
    settled = f" at {row.permit.settled_at:%H:%M:%S} UTC" if row.permit.settled_at else ""
    return Step(name="permit", at=row.permit.reserved_at, note=f"{row.permit.state}{settled}")


def _served(story: Story | None) -> tuple[Step, ...]:
    if story is None:
        return tuple(Step(name=name, at=None) for name in ("queued", "seated", "ready", "asked", "first token", "done"))
    ready = None if story.seated_at is None or story.loaded_at is None else max(story.seated_at, story.loaded_at)
    return (
        Step(name="queued", at=story.queued_at, note=f"generation {story.id} for {story.model}, priority {story.priority}"),
        Step(name="seated", at=story.seated_at, note=f"on {story.server}, attempt {story.attempts}" if story.server else ""),
        Step(name="ready", at=ready, note=f"{story.model} in memory" if ready else ""),
        Step(name="asked", at=story.asked_at),
        Step(name="first token", at=story.first_token_at),
        Step(name="done", at=story.ended_at, note=_ending(story)),
    )


def _ending(story: Story) -> str:
    if story.error:
        return f"{story.state}, {story.error_code}: {story.error}"
    if story.ended_at is None:
        return story.state
    return f"{'from the cache, ' if story.cached else ''}{len(story.text)} characters, {story.completion_tokens or '?'} tokens, {story.finish_reason}"


def _delivered(row: Reply) -> tuple[Step, ...]:
    posted = f"as {row.outgoing_id}, attempt {row.attempts}" if row.outgoing_id else ""
    done = ", ".join(row.verdict.get("cleaned", []))
    return (
        *(Step(name="tried before", at=None, note=f"generation {one.get('generation')}: {one.get('why')}") for one in row.drafts),
        Step(name="cleaned", at=row.ready_at, note=f"{len(row.text)} characters{f': {done}' if done else ''}" if row.ready_at else ""),
        Step(name="posted", at=row.accepted_at, note=posted),
        Step(name="confirmed" if row.state not in ("dropped", "failed") else row.state, at=row.ended_at, note=row.reason),
    )


def _count(replies: int) -> str:
    return "nobody answers" if not replies else "one entity answers" if replies == 1 else f"{replies} entities answer"
