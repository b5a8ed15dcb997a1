"""Look whether the servers are enough, and call for more or for one less: a notice per call, which `notify` tells.

One engine looks at a time, every few seconds while somebody waits, rarely otherwise. What was called for stands in rows: no
process has to remember it.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Avg, Count, Max, Min, Q

from cluster.lmstudio.dialects import fixed
from cluster.logic.lifecycle import HELD, GenerationState, PlacementState, ServerState
from cluster.logic.memory import headroom_gb
from cluster.logic.scaling import Call, Machine, Want, calls
from cluster.logic.state import USUAL_ANSWER_S
from cluster.models import ClusterPolicy, Generation, LanguageModel, Notice, Offer, Placement, Server
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import SCALING, alone
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel, wake

BUSY_S: Final = 5.0
"""Between two looks while somebody waits or a call stands."""

IDLE_S: Final = 20.0
"""Between two looks otherwise."""

AGAIN: Final = timedelta(minutes=5)
"""A call that still stands is repeated after so long, if somebody could answer it."""

LATELY: Final = 1e-4
"""Requests a second below which nobody asks for a model any more."""


def look(now: datetime) -> bool:
    """Look, if no engine has looked within BUSY_S, and write what has changed. Returns whether to look again soon."""
    waiting = Generation.objects.filter(state=GenerationState.QUEUED, queued_at__lt=now - timedelta(seconds=BUSY_S)).exists()
    stale = Q(scaled_at__isnull=True) | Q(scaled_at__lt=now - timedelta(seconds=(BUSY_S if waiting else IDLE_S) - 1))
    policy = ClusterPolicy.current()
    if ClusterPolicy.objects.filter(stale, pk=policy.pk).update(scaled_at=now):
        with transaction.atomic():
            alone(SCALING)
            standing = {(notice.event, notice.subject): notice for notice in Notice.objects.filter(closed_at__isnull=True)}
            found = calls(
                _wants(now),
                machines(now),
                _lately(),
                standing.keys(),
                wait_s=policy.scale_out_wait_s,
                idle_s=policy.scale_in_idle_s,
            )
            _write(found, standing, now)
    return waiting or Notice.objects.filter(closed_at__isnull=True, event=Notice.Event.SCALE_OUT).exists()


def _write(found: Sequence[Call], standing: dict[tuple[str, str], Notice], now: datetime) -> None:
    """One notice per call that is new or due again; the others close, and nobody is told of them any more."""
    needed = {(call.event, call.subject): call for call in found}
    for key, notice in standing.items():
        again = key in needed and needed[key].candidate and notice.at <= now - AGAIN
        if key not in needed or again:
            Notice.objects.filter(pk=notice.pk).update(closed_at=now, due_at=None)
        if key not in needed:
            say(f"cluster.{notice.event}_over", f"No longer needed: {notice}", subject=notice.subject)
        elif not again:
            del needed[key]
    for call in needed.values():
        Notice.objects.create(
            event=call.event,
            subject=call.subject,
            reason={**call.reason, "server": call.server} if call.server else dict(call.reason),
            at=now,
            due_at=now if call.candidate else None,
        )
        say(f"cluster.{call.event}", call.text, subject=call.subject, level=Level.WARNING if call.candidate else Level.INFO, **call.reason)
    if needed:
        wake(Channel.SETTINGS)


def _wants(now: datetime) -> list[Want]:
    """What waits for a model on any server: more of them would not help a pinned request."""
    ripe = Q(not_before__isnull=True) | Q(not_before__lte=now)
    rows = Generation.objects.filter(ripe, state=GenerationState.QUEUED, leader__isnull=True, pin__isnull=True).order_by()
    found = list(rows.values_list("model_id", "model__key", "model__size_gb").annotate(n=Count("id"), oldest=Min("queued_at")))
    offers = Offer.objects.filter(model__in=[row[0] for row in found]).order_by()
    answers = dict(offers.values_list("model_id").annotate(mean=Avg("answer_seconds"))) if found else {}
    return [
        Want(
            model_id=pk,
            model=key,
            need_gb=gb,
            waiting=n,
            oldest_s=(now - oldest).total_seconds(),
            answer_s=answers.get(pk) or USUAL_ANSWER_S,
        )
        for pk, key, gb, n, oldest in found
    ]


def _lately() -> dict[int, float]:
    """The models that somebody asks for, with what they need, GB."""
    return dict(LanguageModel.objects.filter(rate__gt=LATELY).values_list("pk", "size_gb"))


def machines(now: datetime) -> list[Machine]:
    """Every enabled server that may get work, as its rows say at this moment."""
    held: defaultdict[int, list[Placement]] = defaultdict(list)
    flights: dict[int, int] = {}
    for row in Placement.objects.filter(state__in=HELD).annotate(in_flight=Count("seats")):
        held[row.server_id].append(row)
        flights[row.pk] = row.in_flight
    offers: defaultdict[int, set[int]] = defaultdict(set)
    for server_id, model_id in Offer.objects.values_list("server_id", "model_id"):
        offers[server_id].add(model_id)
    used = dict(Placement.objects.order_by().values_list("server_id").annotate(last=Max("used_at")))
    rows = Server.objects.filter(enabled=True, draining=False)
    return [_machine(row, held[row.pk], flights, frozenset(offers[row.pk]), used.get(row.pk), now) for row in rows]


def _machine(
    server: Server, held: Sequence[Placement], flights: dict[int, int], offers: frozenset[int], used: datetime | None, now: datetime
) -> Machine:
    loaded = [p for p in held if p.state == PlacementState.LOADED]
    loading = next((p.model_id for p in held if p.state == PlacementState.LOADING), None)
    slots: defaultdict[int, int] = defaultdict(int)
    free: defaultdict[int, int] = defaultdict(int)
    for place in loaded:
        slots[place.model_id] += place.slots
        free[place.model_id] += max(0, place.slots - flights[place.pk])
    since = max((moment for moment in (used, server.state_since, server.returned_at) if moment), default=now)
    works = loading is not None or any(flights[p.pk] for p in loaded)
    return Machine(
        name=server.name,
        pool=server.pool,
        well=server.state == ServerState.ONLINE,
        gb=server.budget_gb - headroom_gb(server.budget_gb),
        held_gb=sum(p.gb for p in held),
        idle_gb=sum(p.gb for p in loaded if not p.pinned and not flights[p.pk]),
        loading=loading,
        loads=not fixed(server.spoken),
        idle_s=0.0 if works else (now - since).total_seconds(),
        offers=offers,
        free=free,
        slots=slots,
        held={p.model_id: p.gb for p in held},
    )


async def turn(context: Context) -> float:
    """One look."""
    return BUSY_S if await context.rows(look, clock.now()) else IDLE_S


def loop() -> Loop:
    """The loop that looks whether the servers are enough, of a new engine."""
    return Loop(name="scaling", channel=Channel.SETTINGS, turn=turn)
