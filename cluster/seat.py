"""Step 6: under a short lock, turn a plan into reservations: seats, placements that load, placements that leave.

What is written here is acted on by `ready` and `ask` after the commit.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import OuterRef, Q, Subquery

from cluster.account import charge
from cluster.address import endpoint, errand, timeouts
from cluster.health import trial
from cluster.logic.decision import Load, Plan, Wait
from cluster.logic.decision import Seat as Given
from cluster.logic.lifecycle import HELD, GenerationState, PlacementState
from cluster.logic.loading import limit_s
from cluster.logic.memory import headroom_gb
from cluster.logic.order import Errand, Orders, Ticket
from cluster.models import ClusterPolicy, Generation, Offer, Placement, Seat, Server
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import taken
from swwbot_site.lib.transitions import move, move_each
from swwbot_site.lib.wake import Channel, wake

Told = dict[tuple[int, int | None], tuple[str, datetime]]
"""By model and pin: what was last written beside those who wait, and when."""

REPEAT: Final = timedelta(seconds=5)
EPSILON_GB: Final = 1e-6

NEEDED: Final = (
    *("server", "model", "instance_id", "context_length", "rest_until", "model__key", "model__aliases"),
    *("server__name", "server__url", "server__token", "server__dialect", "server__detected"),
)
"""What a ticket takes from a placement's rows."""


def seat(plan: Plan, policy: ClusterPolicy, owner: int, now: datetime, told: Told | None = None) -> Orders:
    """Write a plan's reservations for the engine `owner`. Call it under the lock the plan was made under.

    `told` is what the engine remembers to have written beside those who wait.
    """
    victims = [pid for load in plan.loads for pid in load.evict] + [u.placement_id for u in plan.unloads]
    if victims or plan.loads:  # otherwise `_sit` locks what it needs
        _lock([s.placement_id for s in plan.seats] + victims, [load.server_id for load in plan.loads])
    for verdict in plan.impossible:
        _fail(verdict.model_id, verdict.pin_id, verdict.why, now)
    for waiting in plan.waits:
        _explain(waiting, {} if told is None else told, now)
    loads = [order for load in plan.loads if (order := _reserve(load, owner, policy, now))]
    until = min((w.until for w in plan.waits if w.until), default=None)
    return Orders(
        tickets=tuple(_sit(plan.seats, owner, policy, now)) if plan.seats else (),
        loads=tuple(loads),
        unloads=tuple(_leave(victims, owner, policy, now)) if victims else (),
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


def _explain(waiting: Wait, told: Told, now: datetime) -> None:
    """Keep with the waiting generations why they wait; the same words again only for those who came later, some seconds later."""
    key = (waiting.model_id, waiting.pin_id)
    words, at = told.get(key, ("", now))
    if words == waiting.why and now - at < REPEAT:
        return
    told[key] = (waiting.why, now)
    rows = Generation.objects.filter(_queued(*key)).exclude(decision__contains={"waits": waiting.why})
    rows.update(decision={"waits": waiting.why, "at": now.isoformat()})


def _sit(seats: Sequence[Given], owner: int, policy: ClusterPolicy, now: datetime) -> list[Ticket]:
    """Give the seats of placements to the generations whose turn it is, with one statement for all of them."""
    ids = {given.placement_id for given in seats}
    spelling = Offer.objects.filter(server=OuterRef("server"), model=OuterRef("model")).values("key")
    rows = Placement.objects.select_related("server", "model").filter(pk__in=ids, state=PlacementState.LOADED).order_by("pk")
    locked = rows.only(*NEEDED).annotate(spelling=Subquery(spelling)).select_for_update(no_key=True, of=("self",))
    placements: dict[int, Placement] = {row.pk: row for row in locked}
    demands: dict[tuple[int, int | None, int | None], list[Given]] = {}
    for given in seats:
        if given.placement_id in placements:
            demands.setdefault((given.model_id, given.pin_id, given.avoid_id), []).append(given)
    taking: dict[int, tuple[Generation, Placement]] = {}
    each: dict[int, dict[str, object]] = {}
    for found in demands.values():
        chosen = _chosen(found, now)
        for given in found:
            placement = placements[given.placement_id]
            if not chosen or (placement.rest_until is not None and not trial(placement, policy, now)):
                continue
            told = {"why": given.why, "server": placement.server.name, "candidates": [one.document() for one in given.candidates]}
            for generation in chosen[: given.n]:
                waited = generation.decision.get("waits")
                decision = {**told, "waited": waited} if waited else told
                each[generation.pk] = {"server": placement.server_id, "placement": placement.pk, "decision": decision}
                taking[generation.pk] = generation, placement
            del chosen[: given.n]
    lease = taken(owner, now)
    seated = move_each(Generation, GenerationState.QUEUED, GenerationState.RUNNING, each, guard={}, seated_at=now, **lease)
    sitting = [taking[pk] for pk in each if pk in seated]
    Seat.objects.bulk_create(Seat(generation=g, placement=p, taken_at=now, **lease) for g, p in sitting)
    Placement.objects.filter(pk__in={p.pk for _, p in sitting}).update(used_at=now)
    return [_ticket(g, p, policy) for g, p in sitting]


def _chosen(found: Sequence[Given], now: datetime) -> list[Generation]:
    """Those who get the seats of one demand, locked: by turn, and of equal turn who came first."""
    one, n = found[0], sum(given.n for given in found)
    rows = Generation.objects.filter(Generation.ripe(now), model_id=one.model_id, pin_id=one.pin_id, avoid_id=one.avoid_id)
    rows = rows.only("attempts", "decision", "request")
    return list(rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).order_by("turn_at", "id")[:n])


def _ticket(generation: Generation, placement: Any, policy: ClusterPolicy) -> Ticket:
    key: str = placement.spelling or placement.model.key
    return Ticket(
        generation_id=generation.pk,
        placement_id=placement.pk,
        server_id=placement.server_id,
        server=placement.server.name,
        endpoint=endpoint(placement.server),
        model=placement.model.key,
        instance_id=placement.instance_id,
        context_length=placement.context_length,
        names=(key, placement.model.key, *placement.model.aliases),
        request=generation.request,
        attempt=generation.attempts + 1,
        timeouts=timeouts(policy),
        hedge_after_s=policy.hedge_after_s,
        trial=placement.rest_until is not None,
    )


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


def _leave(victims: list[int], owner: int, policy: ClusterPolicy, now: datetime) -> list[Errand]:
    """Mark idle placements as leaving. A seat may not be given on them any more; a busy one stays."""
    leaving = []
    for placement in Placement.objects.select_related("server", "model").filter(pk__in=victims).order_by("pk"):
        if placement.seats.exists() or placement.pinned:
            continue
        if move(Placement.objects.filter(pk=placement.pk), PlacementState.LOADED, PlacementState.UNLOADING, **taken(owner, now)):
            say("placement.unloading", f"{placement.model} leaves {placement.server}", subject=f"server:{placement.server}")
            leaving.append(errand(placement, policy))
    return leaving
