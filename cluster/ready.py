"""Step 7: outside any lock, load a model, and wait until the server itself confirms (`leave` is the way back).

The server's list is looked at first, for somebody may have loaded the model by hand. A load is sent once. When its request times out
or is cut, nobody knows whether it still runs: the list is asked until it says loaded or not loaded, and only then may anything else be
loaded there. What a failed load teaches is decided in `logic.loading`.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from cluster.health import fault, note
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import CapabilityMissing, Dropped, LoadCanceled, LoadTimeout, OutOfMemory, PeerError, Unreachable
from cluster.lmstudio.values import Instance, LoadResult, State
from cluster.logic import loading
from cluster.logic.learning import blend
from cluster.logic.lifecycle import HELD, PlacementState
from cluster.logic.memory import GROWING, GUARDRAIL, OPERATOR, PER_SLOT, headroom_gb, instance_gb, need_gb
from cluster.logic.order import Errand
from cluster.models import ClusterPolicy, LanguageModel, Offer, Placement, Server
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE
from swwbot_site.lib.loops import Rows
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake


async def load(client: Client, rows: Rows, errand: Errand) -> None:
    """Load a model and confirm it in the rows, or record why not. Cancelled, it leaves the placement to whoever reconciles."""
    step("ready.before")
    began = clock.now()
    others = await rows(neighbours, errand)
    try:
        outcome = await _obtained(client, errand, others)
    except PeerError as error:
        outcome = error
    if isinstance(outcome, PeerError):
        await rows(failed, errand, outcome)
    else:
        await rows(loaded, errand, outcome, (clock.now() - began).total_seconds())
    step("ready.after")


async def _obtained(client: Client, errand: Errand, others: frozenset[str]) -> LoadResult | PeerError:
    """The instance that somebody else has loaded or is loading; otherwise a load of our own. Raises what the server says to it."""
    state, there = await _look(client, errand, others)
    if state is State.LOADED and there:
        return _result(there, already=True)
    if state is State.LOADING:
        outcome = await _watch(client, errand, others, LoadCanceled("somebody else was loading it, and it came to nothing"))
        if not isinstance(outcome, LoadCanceled):
            return replace(outcome, already=True) if isinstance(outcome, LoadResult) else outcome
    try:
        result = await client.load(
            errand.endpoint, errand.key, context_length=errand.context_length, kind=errand.kind, timeouts=errand.timeouts
        )
    except (LoadTimeout, Dropped) as doubt:
        return await _watch(client, errand, others, doubt)
    return await _detailed(client, errand, result)


async def _look(client: Client, errand: Errand, others: frozenset[str]) -> tuple[State, Instance | None]:
    """What the server's list says of the model, `others` of its instances left aside, and the instance if it is loaded."""
    listed = (await client.list(errand.endpoint, errand.timeouts)).find(errand.key)
    mine = [i for i in listed.instances if i.id not in others] if listed else []
    if listed is None or (listed.instances and not mine):
        return State.NOT_LOADED, None
    ready = next((i for i in mine if i.state is State.LOADED), None)
    return (State.LOADED if ready else mine[0].state if mine else listed.state), ready


async def _watch(client: Client, errand: Errand, others: frozenset[str], doubt: PeerError) -> LoadResult | PeerError:
    """Ask the list what became of a load that nobody answered for."""
    for _ in range(errand.polls):
        await asyncio.sleep(errand.poll_s)
        try:
            state, there = await _look(client, errand, others)
        except Unreachable as error:
            return error  # what was loading went with its server
        except PeerError as error:
            doubt = error
            continue
        if state is State.LOADED and there:
            return _result(there)
        if state is State.NOT_LOADED:
            return doubt
    return doubt


async def _detailed(client: Client, errand: Errand, result: LoadResult) -> LoadResult | PeerError:
    """The load as the server's list shows it: how many answers at once, which context."""
    if result.parallel is not None and result.context_length is not None and not result.already:
        return result
    try:
        listed = (await client.list(errand.endpoint, errand.timeouts)).find(errand.key)
    except PeerError:
        return result  # it is loaded, only its details are not known; reconciling reads them later
    for instance in listed.instances if listed else ():
        if result.already or instance.id == result.instance_id:
            return _result(instance, result.seconds, result.already)
    return result


def _result(instance: Instance, seconds: float = 0.0, already: bool = False) -> LoadResult:
    length, parallel = instance.context_length, instance.parallel
    return LoadResult(instance_id=instance.id, context_length=length, parallel=parallel, seconds=seconds, already=already)


def neighbours(errand: Errand) -> frozenset[str]:
    """The instances on the errand's server that are other placements: one of them may be on its way out under this very name."""
    rows = Placement.objects.filter(server_id=errand.server_id, state__in=HELD).exclude(pk=errand.placement_id).exclude(instance_id="")
    return frozenset(rows.values_list("instance_id", flat=True))


def _locked(errand: Errand) -> Placement | None:
    """The errand's placement under its lock; None if its server was deleted meanwhile."""
    rows = Placement.objects.select_for_update(no_key=True, of=("self",)).select_related("server", "model")
    return rows.filter(pk=errand.placement_id).first()


def loaded(errand: Errand, result: LoadResult, seconds: float) -> bool:
    """Confirm a load. Returns whether the placement was still loading."""
    now = clock.now()
    with transaction.atomic():
        placement = _locked(errand)
        if placement is None:
            return False
        server = Server.objects.select_for_update(no_key=True).get(pk=placement.server_id)  # as does who adopts what a list shows
        if _known(placement, result.instance_id):
            _spare(placement, result.instance_id, now)
            return False
        offer = Offer.objects.filter(server_id=errand.server_id, model_id=placement.model_id).first()
        slots = server.slots or result.parallel or 1
        if not move(
            Placement.objects.filter(pk=placement.pk),
            PlacementState.LOADING,
            PlacementState.LOADED,
            instance_id=result.instance_id,
            slots=slots,
            context_length=result.context_length,
            gb=_taken(placement, offer, result.context_length, slots),
            loaded_at=now,
            served=False,
            **FREE,
        ):
            return False
        if offer and not result.already:
            taught = {"load_seconds": blend(offer.load_seconds, seconds), "cooldown_until": None, "cooldown_reason": ""}
            Offer.objects.filter(pk=offer.pk).update(**taught)
        how = "was there already" if result.already else f"is loaded after {seconds:.1f} s"
        text = f"{placement.model} {how} on {server}"
        say("placement.loaded", text, subject=f"server:{server}", seconds=round(seconds, 2))
        wake(Channel.PLAN, Channel.SERVE)
        return True


def _known(placement: Placement, instance_id: str) -> bool:
    """Whether another placement is this instance: somebody else's load, found on the list before ours was answered."""
    others = Placement.objects.filter(server_id=placement.server_id, instance_id=instance_id, state__in=HELD)
    return bool(instance_id) and others.exclude(pk=placement.pk).exists()


def _spare(placement: Placement, instance_id: str, now: datetime) -> None:
    """End a load that has led to an instance that is known already; its memory is counted there."""
    why = f"{instance_id} was found there meanwhile"
    if move(Placement.objects.filter(pk=placement.pk), PlacementState.LOADING, PlacementState.GONE, ended_at=now, reason=why, **FREE):
        say("placement.found", f"{placement.model} on {placement.server}: {why}", subject=f"server:{placement.server}")
        wake(Channel.PLAN, Channel.SERVE)


def _taken(placement: Placement, offer: Offer | None, context: int | None, slots: int) -> float:
    """GB that an instance takes with the context it really got; what was reserved where only its name is known."""
    if offer is None or (offer.size_bytes is None and placement.model.size_source == LanguageModel.SizeSource.GUESS):
        return placement.gb
    apart = slots if placement.server.spoken in PER_SLOT else 1
    return instance_gb(placement.model, size_bytes=offer.size_bytes, context=context, form=offer.format, slots=apart)


def failed(errand: Errand, error: PeerError) -> None:
    """Record a load that did not happen: the memory is free again, the pair rests, and what the server said is learned."""
    now = clock.now()
    with transaction.atomic():
        rows = Placement.objects.filter(pk=errand.placement_id)
        placement = rows.select_related("server", "model").first()
        if placement is None or placement.state != PlacementState.LOADING:
            return
        lesson = _lesson(errand, placement, error)
        if lesson.size_gb is not None:  # models before placements, as the planner locks them
            learnable = LanguageModel.objects.filter(pk=placement.model_id).exclude(size_source=OPERATOR)
            learnable.update(size_gb=lesson.size_gb, size_source=GUARDRAIL)
        if not move(rows, PlacementState.LOADING, PlacementState.FAILED, ended_at=now, reason=str(error), **FREE):
            return
        rest: dict[str, object] = {"cooldown_until": now + timedelta(seconds=lesson.rest_s), "cooldown_reason": str(error)}
        if lesson.context_limit is not None:
            rest["context_limit"] = lesson.context_limit
        if error.code in loading.CRASHES:
            rest["crashed_at"] = now
        Offer.objects.filter(server_id=errand.server_id, model_id=placement.model_id).update(**rest)
        text = f"{placement.model} could not be loaded on {placement.server}: {error}"
        say("placement.failed", text, subject=f"server:{placement.server}", level=Level.ERROR, code=error.code)
        if isinstance(error, CapabilityMissing):
            Server.objects.filter(pk=errand.server_id).update(detected="", listed_at=None)
        if error.harms_server or fault(error).misconfigured:
            note(errand.server_id, fault(error), ClusterPolicy.current(), now)
        wake(Channel.SERVE)


def _lesson(errand: Errand, placement: Placement, error: PeerError) -> loading.Lesson:
    """What a failed load teaches: of the model its need, of the pair how long it rests and how much context fits."""
    model, server = placement.model, placement.server
    offer = Offer.objects.filter(server=server, model=model).first()
    size = offer.size_bytes if offer else None
    slots = (server.slots or 1) if server.spoken in PER_SLOT else 1
    formula = size and need_gb(size, context=errand.context_length, params=model.params, key=model.key, slots=slots)
    return loading.lesson(
        loading.Mishap(
            code=error.code,
            failures=_failures(placement) + 1,
            said_gb=error.needs_gb if isinstance(error, OutOfMemory) else None,
            reserved_gb=placement.gb,
            estimate_gb=formula or placement.gb,
            room_gb=server.budget_gb - headroom_gb(server.budget_gb),
            size_bytes=size,
            context=errand.context_length,
            limited=offer is not None and offer.context_limit is not None,
            choosable=server.spoken in loading.CHOOSERS and (offer is None or offer.format not in GROWING),
        )
    )


def _failures(placement: Placement) -> int:
    """How many loads of this model here have failed before since one succeeded."""
    tries = Placement.objects.filter(server=placement.server, model=placement.model, adopted=False)
    last = tries.aggregate(at=Max("loaded_at"))["at"]
    missed = tries.filter(state=PlacementState.FAILED)
    return (missed.filter(created_at__gt=last) if last else missed).count()
