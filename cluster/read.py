"""The door out of the cluster: what pages, commands and other apps may know of its rows, as values.

Nothing here asks a server; it is the rows' belief of this moment. Sizes are GB of memory, times aware datetimes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Q, Subquery

from cluster.logic.lifecycle import HELD, PlacementState
from cluster.logic.loading import expected_s, progress
from cluster.models import Generation, Offer, Placement, Seat, Server
from cluster.waiting import Waiting, queue
from swwbot_site.lib import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A model in a server's memory, or on its way in or out. `in_flight` of `slots` are taken.

    `progress`, 0 … 1, says how far a load is, judged by how long it took before: no server tells. None: it is not loading.
    `expected_s` is how long that load should take. `rest_until`: it failed too often, and is asked nothing before. `preloaded`: loaded
    before anybody asked; otherwise `caller` is whose request it was loaded for, if anybody's. `tokens_per_s` is learned from answers.
    """

    model: str
    instance: str
    state: str
    gb: float
    slots: int
    in_flight: int
    pinned: bool
    since: datetime
    used_at: datetime | None
    progress: float | None = None
    rest_until: datetime | None = None
    preloaded: bool = False
    expected_s: float | None = None
    tokens_per_s: float | None = None
    caller: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A server as its owner describes it and as we last saw it. `dialect` is empty until it is found out."""

    id: int
    name: str
    url: str
    state: str
    reason: str
    since: datetime | None
    enabled: bool
    draining: bool
    dialect: str
    version: str
    latency_ms: float | None
    failures: int
    retry_at: datetime | None
    seen_at: datetime | None
    budget_gb: float
    held: tuple[Held, ...]

    @property
    def held_gb(self) -> float:
        """GB that are taken or promised."""
        return sum(one.gb for one in self.held)

    @property
    def in_flight(self) -> int:
        """Answers being written."""
        return sum(one.in_flight for one in self.held)

    @property
    def slots(self) -> int:
        """Answers that may be written at once."""
        return sum(one.slots for one in self.held if one.state == "loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The whole cluster at one moment; servers by name, what waits by priority and age."""

    servers: tuple[Machine, ...]
    queue: tuple[Waiting, ...]
    running: int

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return sum(one.count for one in self.queue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One request to a model, from queue to answer. `tried` are earlier attempts, `decision` why it ran where it ran."""

    id: int
    state: str
    model: str
    server: str
    caller: str
    priority: int
    attempts: int
    tried: tuple[Any, ...]
    decision: Mapping[str, Any]
    queued_at: datetime
    seated_at: datetime | None
    loaded_at: datetime | None
    """When the model it ran on was ready."""
    asked_at: datetime | None
    first_token_at: datetime | None
    ended_at: datetime | None
    text: str
    reasoning: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    error_code: str
    error: str
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it was handed in, so that it can be handed in again, and what was answered."""

    model: str
    priority: int
    request: Mapping[str, Any]
    text: str


def asked(generation_id: int) -> Asked | None:
    """The request of this id; None if it is not kept any more."""
    row = Generation.objects.filter(pk=generation_id).select_related("model").first()
    return Asked(model=row.model.key, priority=row.priority, request=row.request, text=row.text) if row and row.request else None


def overview() -> Overview:
    """Servers, memory, seats and queue; six short queries, whatever the size of the history."""
    now = clock.now()
    taken = dict(Seat.objects.values_list("placement").annotate(n=Count("pk")).order_by())
    held: defaultdict[int, list[Held]] = defaultdict(list)
    known = Offer.objects.filter(server=OuterRef("server"), model=OuterRef("model"))
    rows = Placement.objects.filter(state__in=HELD).select_related("model").order_by("model__key", "pk")
    for row in rows.annotate(load_s=Subquery(known.values("load_seconds")[:1]), speed=Subquery(known.values("tokens_per_s")[:1])):
        held[row.server_id].append(_held(row, taken.get(row.pk, 0), now))
    servers = tuple(_machine(row, tuple(held[row.pk])) for row in Server.objects.order_by("name"))
    return Overview(servers=servers, queue=queue(), running=Generation.objects.filter(state="running").count())


def stories(ids: Iterable[int]) -> dict[int, Story]:
    """The requests of these ids."""
    rows = Generation.objects.filter(pk__in=list(ids)).select_related("model", "server", "placement")
    return {row.pk: _story(row) for row in rows}


def ended(since: datetime) -> dict[str, int]:
    """How many requests ended since then, by state."""
    return dict(Generation.objects.filter(ended_at__gte=since).values_list("state").annotate(n=Count("pk")).order_by())


def stuck(now: datetime, wait: timedelta) -> int:
    """How many requests wait longer than `wait` although nothing tells them to."""
    ready = Q(not_before__isnull=True) | Q(not_before__lt=now)
    return Generation.objects.filter(ready, state="queued", queued_at__lt=now - wait).count()


def _held(row: Any, in_flight: int, now: datetime) -> Held:
    """`row` is a placement with what was learned of its pair: `load_s`, `speed`."""
    expected = expected_s(row.gb, row.load_s) if row.state == PlacementState.LOADING else None
    return Held(
        progress=None if expected is None else progress((now - row.created_at).total_seconds(), expected),
        expected_s=expected,
        tokens_per_s=row.speed,
        caller=row.caused_by,
        why=row.reason,
        model=row.model.key,
        instance=row.instance_id,
        state=row.state,
        gb=row.gb,
        slots=row.slots,
        in_flight=in_flight,
        pinned=row.pinned,
        since=row.loaded_at or row.created_at,
        used_at=row.used_at,
        rest_until=row.rest_until if row.failures else None,
        preloaded=row.preloaded,
    )


def _machine(row: Server, held: tuple[Held, ...]) -> Machine:
    same = {name: getattr(row, name) for name in ("id", "name", "url", "state", "enabled", "draining", "version", "latency_ms", "failures")}
    return Machine(
        **same,
        reason=row.state_reason,
        since=row.state_since,
        dialect=row.spoken,
        retry_at=row.retry_at,
        seen_at=row.seen_at,
        budget_gb=row.budget_gb,
        held=held,
    )


def _story(row: Generation) -> Story:
    names = ("id", "state", "caller", "priority", "attempts", "queued_at", "seated_at", "asked_at", "first_token_at", "ended_at", "text")
    more = ("reasoning", "finish_reason", "prompt_tokens", "completion_tokens", "error_code", "error", "cached")
    return Story(
        **{name: getattr(row, name) for name in (*names, *more)},
        model=row.model.key,
        server=row.server.name if row.server else "",
        tried=tuple(row.tried),
        decision=row.decision,
        loaded_at=row.placement.loaded_at if row.placement else None,
    )
