"""The door out of the conversation: what pages and commands may know of its rows, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from cluster import read as cluster
from conversations.logic.lifecycle import ENDED
from conversations.models import ConversationPolicy, Engine, Feed, Message, Reply, Room
from swwbot_site.lib import clock, leases


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A message and one entity's answer to it. `seconds` from receiving the one to seeing the other in the feed."""

    reply: int
    message: int
    asked_by: str
    asked: str
    entity: str
    username: str
    state: str
    text: str
    reason: str
    model: str
    server: str
    at: datetime
    seconds: float | None
    priority: int | None
    """Of its request to a model; None before there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """An engine. `living` says the database: its process holds its lock."""

    owner: int
    host: str
    pid: int
    queue: str
    version: str
    started_at: datetime
    beat_at: datetime
    living: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A feed. `generation` is empty until it is found out."""

    id: int
    name: str
    url: str
    generation: str
    enabled: bool
    dry_run: bool
    polled_at: datetime | None
    poll_interval_s: float
    failures: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What happened since a moment: messages of humans read, answers posted, dropped and failed; and what is under way now."""

    messages: int
    posted: int
    dropped: int
    failed: int
    open: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The global stop while it is pulled: nothing is posted anywhere."""

    since: datetime
    by: str
    why: str

    def __str__(self) -> str:
        return f"Posting is stopped since {self.since:%Y-%m-%d %H:%M} UTC by {self.by}{f': {self.why}' if self.why else ''}"


def stopped() -> Stop | None:
    """The global stop; None while answers are posted."""
    row = ConversationPolicy.current()
    return Stop(since=row.stopped_at, by=row.stopped_by, why=row.stop_reason) if row.stopped and row.stopped_at else None


def latest(count: int, underway: int) -> tuple[Answer, ...]:
    """The `underway` newest answers under way and the `count` that ended last, newest first."""
    rows = Reply.objects.select_related("message").order_by("-id")
    open_ = list(rows.exclude(state__in=ENDED)[:underway])
    ended = list(rows.filter(ended_at__isnull=False).order_by("-ended_at")[:count])
    return _answers([*open_, *ended])


def generation_of(reply: int) -> tuple[Answer, int | None] | None:
    """An answer and the request behind it; None if there is no such answer."""
    rows = list(Reply.objects.select_related("message").filter(pk=reply))
    return (_answers(rows)[0], rows[0].generation_id) if rows else None


def engines(now: datetime) -> tuple[Worker, ...]:
    """The engines that have not ended, the newest first. One that is gone without a word is there for a minute, not living."""
    alive = leases.living()
    rows = Engine.objects.filter(ended_at__isnull=True, beat_at__gt=now - timedelta(minutes=1))
    return tuple(
        Worker(
            owner=row.owner,
            host=row.host,
            pid=row.pid,
            queue=row.cluster,
            version=row.version,
            started_at=row.started_at,
            beat_at=row.beat_at,
            living=alive == leases.EVERYBODY or row.owner in alive,
        )
        for row in rows
    )


def feeds() -> tuple[Source, ...]:
    """The feeds, by name."""
    names = ("id", "name", "url", "enabled", "dry_run", "polled_at", "poll_interval_s", "failures", "error")
    return tuple(Source(**{name: getattr(row, name) for name in names}, generation=row.spoken) for row in Feed.objects.order_by("name"))


def strategies() -> tuple[tuple[str, str], ...]:
    """Where a reply strategy is chosen, and which: of every feed that is on, and of its rooms that have their own."""
    feeds = Feed.objects.filter(enabled=True).order_by("name").values_list("name", "strategy")
    rooms = Room.objects.filter(feed__enabled=True).exclude(strategy="").order_by("feed__name", "domain")
    inside = rooms.values_list("feed__name", "domain", "strategy")
    return (*feeds, *((f"{feed}, {domain}", strategy) for feed, domain, strategy in inside))


def pace(since: datetime) -> Pace:
    """Figures since then."""
    ended = dict(Reply.objects.filter(ended_at__gte=since).values_list("state").annotate(n=Count("pk")).order_by())
    first, feeds = clock.millis(since), list(Feed.objects.values_list("pk", flat=True))
    return Pace(
        messages=Message.objects.filter(feed__in=feeds, timestamp__gte=first, kind="human").count(),
        posted=ended.get("posted", 0),
        dropped=ended.get("dropped", 0),
        failed=ended.get("failed", 0),
        open=Reply.objects.filter(~Q(state__in=ENDED)).count(),
    )


def open_replies() -> dict[str, int]:
    """The replies under way, by state."""
    return dict(Reply.objects.exclude(state__in=ENDED).values_list("state").annotate(n=Count("pk")).order_by())


def _answers(rows: Sequence[Reply]) -> tuple[Answer, ...]:
    told = cluster.stories(row.generation_id for row in rows if row.generation_id is not None)
    slugs = dict(Reply.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", "entity__slug"))
    found = []
    for row in rows:
        story = told.get(row.generation_id or 0)
        found.append(
            Answer(
                reply=row.pk,
                message=row.message_id,
                asked_by=row.message.username or "anon",
                asked=row.message.text,
                entity=slugs[row.pk],
                username=row.username,
                state=row.state,
                text=row.text,
                reason=row.reason,
                model=story.model if story else "",
                server=story.server if story else "",
                at=row.ended_at or row.decided_at,
                seconds=(row.ended_at - row.message.received_at).total_seconds() if row.ended_at else None,
                priority=story.priority if story else None,
            )
        )
    return tuple(found)
