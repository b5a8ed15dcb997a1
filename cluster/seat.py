"""Step 6: under a short lock, turn a plan into reservations: seats, placements that load, placements that leave.

What is written here is acted on by `ready` and `ask` after the commit.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from cluster.address import endpoint, timeouts
from cluster.logic.decision import Load, Plan
from cluster.logic.decision import Seat as Given
from cluster.logic.lifecycle import HELD, GenerationState, PlacementState
from cluster.logic.memory import headroom_gb
from cluster.logic.order import Errand, Orders, Ticket
from cluster.models import ClusterPolicy, Generation, Offer, Placement, Seat, Server
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import taken
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake


def seat(plan: Plan, policy: ClusterPolicy, owner: int, capacity: int, now: datetime) -> Orders:
    """Write a plan's reservations, at most `capacity` seats, for the engine `owner`. Call it under the lock the plan was made under."""
    victims = [pid for load in plan.loads for pid in load.evict] + [u.placement_id for u in plan.unloads]
    _lock([s.placement_id for s in plan.seats] + victims, [load.server_id for load in plan.loads])
    for verdict in plan.impossible:
        _fail(verdict.model_id, verdict.pin_id, verdict.why, now)
    for waiting in plan.waits:
        _explain(waiting.model_id, waiting.pin_id, waiting.why, now)
    tickets: list[Ticket] = []
    for given in plan.seats:
        tickets.extend(_sit(given, min(given.n, capacity - len(tickets)), owner, policy, now))
    loads = [errand for load in plan.loads if (errand := _reserve(load, owner, policy, now))]
    return Orders(
        tickets=tuple(tickets),
        loads=tuple(loads),
        unloads=tuple(_leave(victims, owner, policy, now)),
        until=min((w.until for w in plan.waits if w.until), default=None),
    )


def _lock(placements: Sequence[int], servers: Sequence[int]) -> None:
    """Take every row lock in one order, placements before servers, so that nobody waits in a circle."""
    list(Placement.objects.select_for_update(no_key=True).filter(pk__in=placements).order_by("pk").values_list("pk"))
    list(Server.objects.select_for_update(no_key=True).filter(pk__in=servers).order_by("pk").values_list("pk"))


def _queued(model_id: int, pin_id: int | None) -> Q:
    return Q(state=GenerationState.QUEUED, model_id=model_id, pin_id=pin_id)


def _fail(model_id: int, pin_id: int | None, why: str, now: datetime) -> None:
    rows = Generation.objects.filter(_queued(model_id, pin_id))
    if move(rows, GenerationState.QUEUED, GenerationState.FAILED, ended_at=now, error_code="impossible", error=why):
        say("generation.impossible", why, level=Level.ERROR)
        wake(Channel.DELIVER)


def _explain(model_id: int, pin_id: int | None, why: str, now: datetime) -> None:
    """Keep with the waiting generations why they wait, once per reason."""
    rows = Generation.objects.filter(_queued(model_id, pin_id)).exclude(decision__contains={"waits": why})
    rows.update(decision={"waits": why, "at": now.isoformat()})


def _sit(given: Given, n: int, owner: int, policy: ClusterPolicy, now: datetime) -> list[Ticket]:
    """Give `n` seats of a placement to the most urgent generations that wait for it."""
    if n <= 0:
        return []
    placement = Placement.objects.select_related("server", "model").get(pk=given.placement_id)
    if placement.state != PlacementState.LOADED:
        return []
    ripe = Q(not_before__isnull=True) | Q(not_before__lte=now)
    rows = Generation.objects.filter(ripe, _queued(given.model_id, given.pin_id), avoid_id=given.avoid_id)
    chosen = list(rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).order_by("priority", "id")[:n])
    if not chosen:
        return []
    key = Offer.objects.filter(server_id=given.server_id, model_id=given.model_id).values_list("key", flat=True).first()
    move(
        Generation.objects.filter(pk__in=[g.pk for g in chosen]),
        GenerationState.QUEUED,
        GenerationState.RUNNING,
        seated_at=now,
        server_id=given.server_id,
        placement_id=given.placement_id,
        decision={"why": given.why, "server": placement.server.name, "candidates": list(given.candidates)},
        **taken(owner, now),
    )
    Seat.objects.bulk_create(Seat(generation=g, placement=placement, taken_at=now, **taken(owner, now)) for g in chosen)
    Placement.objects.filter(pk=placement.pk).update(used_at=now)
    return [
        Ticket(
            generation_id=g.pk,
            placement_id=placement.pk,
            server_id=placement.server_id,
            server=placement.server.name,
            endpoint=endpoint(placement.server),
            model=placement.model.key,
            instance_id=placement.instance_id,
            names=(key or placement.model.key, placement.model.key, *placement.model.aliases),
            request=g.request,
            attempt=g.attempts + 1,
            timeouts=timeouts(policy),
        )
        for g in chosen
    ]


def _errand(placement: Placement, policy: ClusterPolicy) -> Errand:
    offer = Offer.objects.filter(server_id=placement.server_id, model_id=placement.model_id).first()
    return Errand(
        placement_id=placement.pk,
        server_id=placement.server_id,
        server=placement.server.name,
        endpoint=endpoint(placement.server),
        key=offer.key if offer else placement.model.key,
        instance_id=placement.instance_id,
        context_length=placement.model.context_length,
        timeouts=timeouts(policy),
        poll_s=policy.load_poll_interval_s,
        polls=policy.max_load_attempts,
    )


def _reserve(load: Load, owner: int, policy: ClusterPolicy, now: datetime) -> Errand | None:
    """Reserve the memory of a load, or None if its room has still to be made: the plan after the unload will see it free."""
    server = Server.objects.get(pk=load.server_id)
    held = sum(Placement.objects.filter(server=server, state__in=HELD).values_list("gb", flat=True))
    if load.evict or held + load.gb > server.budget_gb - headroom_gb(server.budget_gb):
        return None
    placement = Placement.objects.create(
        server=server,
        model_id=load.model_id,
        gb=load.gb,
        reason=load.why,
        created_at=now,
        load_deadline=now + timedelta(seconds=policy.load_timeout_s),
        **taken(owner, now),
    )
    say("placement.loading", f"{placement.model} loads on {server}: {load.why}", subject=f"server:{server}", gb=round(load.gb, 1))
    return _errand(placement, policy)


def _leave(victims: list[int], owner: int, policy: ClusterPolicy, now: datetime) -> list[Errand]:
    """Mark idle placements as leaving. A seat may not be given on them any more; a busy one stays."""
    leaving = []
    for placement in Placement.objects.select_related("server", "model").filter(pk__in=victims).order_by("pk"):
        if placement.seats.exists() or placement.pinned:
            continue
        if move(Placement.objects.filter(pk=placement.pk), PlacementState.LOADED, PlacementState.UNLOADING, **taken(owner, now)):
            say("placement.unloading", f"{placement.model} leaves {placement.server}", subject=f"server:{placement.server}")
            leaving.append(_errand(placement, policy))
    return leaving
