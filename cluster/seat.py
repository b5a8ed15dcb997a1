"""Step 6: under a short lock, turn a plan into reservations: seats, placements that load, placements that leave.

What is written here is acted on by `ready` and `ask` after the commit.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from django.db.models import Q

from cluster.account import charge
from cluster.address import errand
from cluster.logic.decision import Load, Plan, Wait
from cluster.logic.lifecycle import HELD, GenerationState, PlacementState
from cluster.logic.loading import limit_s
from cluster.logic.memory import headroom_gb
from cluster.logic.order import Errand, Orders
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server
from cluster.sitting import sit
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import taken
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake

REPEAT: Final = timedelta(seconds=2)
AT_ONCE: Final = 20
"""So many reasons are written with one plan."""

FEW: Final = 50
"""Beside so many, another reason is written as soon as it is one."""

EPSILON_GB: Final = 1e-6

Key = tuple[int, int | None]
"""A model and a pin."""


class Told(NamedTuple):
    """What was last written beside those who wait, when, and beside how many."""

    why: str
    at: datetime
    rows: int


NEVER: Final = Told("", datetime.min.replace(tzinfo=UTC), 0)


def seat(plan: Plan, policy: ClusterPolicy, owner: int, now: datetime, told: dict[Key, Told] | None = None) -> Orders:
    """Write a plan's reservations for the engine `owner`. Call it under the lock the plan was made under.

    `told` is what the engine remembers to have written beside those who wait.
    """
    victims = [pid for load in plan.loads for pid in load.evict] + [u.placement_id for u in plan.unloads]
    if victims or plan.loads:  # otherwise `sit` locks what it needs
        _lock([s.placement_id for s in plan.seats] + victims, [load.server_id for load in plan.loads])
    for verdict in plan.impossible:
        _fail(verdict.model_id, verdict.pin_id, verdict.why, now)
    _explain_all(plan.waits, {} if told is None else told, now)
    loads = [order for load in plan.loads if (order := _reserve(load, owner, policy, now))]
    until = min((w.until for w in plan.waits if w.until), default=None)
    return Orders(
        tickets=tuple(sit(plan.seats, owner, policy, now)) if plan.seats else (),
        loads=tuple(loads),
        unloads=tuple(_leave(_departures(plan), owner, policy, now)) if victims else (),
        until=datetime.fromtimestamp(until, UTC) if until else None,
    )


def _lock(placements: Sequence[int], servers: Sequence[int]) -> None:
    """Take every row lock in one order, placements before servers, so that nobody waits in a circle."""
    if placements:
        list(Placement.objects.select_for_update(no_key=True).filter(pk__in=placements).order_by("pk").values_list("pk"))
    if servers:
        list(Server.objects.select_for_update(no_key=True).filter(pk__in=servers).order_by("pk").values_list("pk"))


def _queued(model_id: int, pin_id: int | None) -> Q:
    return Q(state=GenerationState.QUEUED, model_id=model_id, pin_id=pin_id, leader__isnull=True)


def _fail(model_id: int, pin_id: int | None, why: str, now: datetime) -> None:
    rows = Generation.objects.filter(_queued(model_id, pin_id))
    if move(rows, GenerationState.QUEUED, GenerationState.FAILED, ended_at=now, error_code="impossible", error=why):
        say("generation.impossible", why, level=Level.ERROR)
        wake(Channel.DELIVER)


def _explain_all(waits: Sequence[Wait], told: dict[Key, Told], now: datetime) -> None:
    """Keep with the waiting generations why they wait, the longest untold first, a few reasons now.

    The same words again only for those who came later, some seconds later; other words at once where few wait: reasons may change with
    every plan, and many thousands may wait for the same one.
    """
    due = [(told.get((one.model_id, one.pin_id), NEVER), one) for one in waits]
    due = [(last, one) for last, one in due if not timedelta() <= now - last.at < REPEAT or (one.why != last.why and last.rows <= FEW)]
    for _, waiting in sorted(due, key=lambda pair: pair[0].at)[:AT_ONCE]:
        rows = Generation.objects.filter(_queued(waiting.model_id, waiting.pin_id)).exclude(decision__contains={"waits": waiting.why})
        count = rows.update(decision={"waits": waiting.why, "at": now.isoformat()})
        told[waiting.model_id, waiting.pin_id] = Told(waiting.why, now, count)


def _reserve(load: Load, owner: int, policy: ClusterPolicy, now: datetime) -> Errand | None:
    """Reserve the memory of a load, or None if its room has still to be made: the plan after the unload will see it free."""
    server = Server.objects.get(pk=load.server_id)
    held = list(Placement.objects.filter(server=server, state__in=HELD).values_list("model_id", "state", "gb"))
    if any(model_id == load.model_id or state == PlacementState.LOADING for model_id, state, _ in held):
        return None  # somebody else has loaded or begun to load something there since the plan was made
    if load.evict or sum(gb for _, _, gb in held) + load.gb > server.budget_gb - headroom_gb(server.budget_gb) + EPSILON_GB:
        return None
    pair = Offer.objects.filter(server=server, model_id=load.model_id).values_list("load_seconds", "cooldown_until").first()
    learned, rests_until = pair or (None, None)
    if rests_until is not None and rests_until > now:
        return None  # a load of it has failed there since the plan was made
    caller = "" if load.preload else _head(load.model_id)
    placement = Placement.objects.create(
        server=server,
        model_id=load.model_id,
        gb=load.gb,
        reason=load.why,
        scores=dict(load.scores),
        preloaded=load.preload,
        caused_by=caller,
        created_at=now,
        load_deadline=now + timedelta(seconds=limit_s(load.gb, learned, policy.load_timeout_s)),
        **taken(owner, now),
    )
    say("placement.loading", f"{placement.model} loads on {server}: {load.why}", subject=f"server:{server}", gb=round(load.gb, 1))
    if caller:
        charge(caller, load.seconds, now)
    return errand(placement, policy)


def _head(model_id: int) -> str:
    """Whose turn it is among those who wait for a model: the load is on their account."""
    waiting = Generation.objects.filter(state=GenerationState.QUEUED, model_id=model_id, leader__isnull=True)
    return waiting.order_by("turn_at", "id").values_list("caller", flat=True).first() or ""


def _departures(plan: Plan) -> dict[int, dict[str, object]]:
    """Why each placement leaves that a plan lets go: without need, or for which model, and what that one's load earns and costs."""
    found: dict[int, dict[str, object]] = {one.placement_id: {"why": one.why} for one in plan.unloads}
    keys = dict(LanguageModel.objects.filter(pk__in=[load.model_id for load in plan.loads if load.evict]).values_list("pk", "key"))
    for load in plan.loads:
        key = keys.get(load.model_id, "")
        why = f"makes room for {key}" + ("" if load.scores else f", {load.why}")
        found |= {pid: {"why": why, "for": key, **load.scores} for pid in load.evict}
    return found


def _leave(victims: Mapping[int, Mapping[str, object]], owner: int, policy: ClusterPolicy, now: datetime) -> list[Errand]:
    """Mark idle placements as leaving. A seat may not be given on them any more; a busy one stays."""
    leaving = []
    for placement in Placement.objects.select_related("server", "model").filter(pk__in=victims).order_by("pk"):
        kept = Offer.objects.filter(server_id=placement.server_id, model_id=placement.model_id, pinned=True)
        if placement.seats.exists() or placement.pinned or kept.exists():
            continue
        told = dict(victims[placement.pk])
        rows = Placement.objects.filter(pk=placement.pk)
        if move(rows, PlacementState.LOADED, PlacementState.UNLOADING, departure=told, **taken(owner, now)):
            text = f"{placement.model} leaves {placement.server}: {told['why']}"
            say("placement.unloading", text, subject=f"server:{placement.server}")
            leaving.append(errand(placement, policy))
    return leaving
