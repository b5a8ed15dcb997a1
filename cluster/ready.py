"""Step 7: outside any lock, load and unload, and wait until the server itself confirms.

A load is sent once. When its request times out or is cut, nobody knows whether it still runs: the server's list is asked until it
says loaded or not loaded, and only then may anything else be loaded there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from django.db import transaction

from cluster.health import fault, note
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import (
    CapabilityMissing,
    Dropped,
    EngineFailed,
    FormatUnsupported,
    LoadCanceled,
    LoadTimeout,
    ModelMissing,
    OutOfMemory,
    PeerError,
    Unreachable,
)
from cluster.lmstudio.values import Dialect, Instance, LoadResult, State
from cluster.logic.learning import blend
from cluster.logic.lifecycle import PlacementState
from cluster.logic.memory import need_gb
from cluster.logic.order import Errand
from cluster.models import ClusterPolicy, LanguageModel, Offer, Placement, Server
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE
from swwbot_site.lib.loops import Rows
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake

COOLDOWN_S: Final[dict[type[PeerError], float]] = {
    OutOfMemory: 120.0,
    EngineFailed: 300.0,
    FormatUnsupported: 86_400.0,
    ModelMissing: 600.0,
    LoadCanceled: 5.0,
}
"""How long a pair of server and model is left alone after a load failed so."""

OTHER_COOLDOWN_S: Final = 30.0


async def load(client: Client, rows: Rows, errand: Errand) -> None:
    """Load a model and confirm it in the rows, or record why not. Cancelled, it leaves the placement to whoever reconciles."""
    step("ready.before")
    began = clock.now()
    try:
        result = await client.load(errand.endpoint, errand.key, context_length=errand.context_length, timeouts=errand.timeouts)
    except (LoadTimeout, Dropped) as doubt:
        outcome = await _watch(client, errand, doubt)
    except PeerError as error:
        outcome = error
    else:
        outcome = await _detailed(client, errand, result)
    if isinstance(outcome, PeerError):
        await rows(failed, errand, outcome)
    else:
        await rows(loaded, errand, outcome, (clock.now() - began).total_seconds())
    step("ready.after")


async def unload(client: Client, rows: Rows, errand: Errand) -> None:
    """Unload an instance; its memory is given back when the server's list does not show it any more."""
    try:
        await client.unload(errand.endpoint, errand.instance_id, model_key=errand.key, timeouts=errand.timeouts)
        if await _until(errand, lambda: _absent(client, errand)):
            await rows(gone, errand)
            return
        text = "the server still lists it after it was told to unload it"
    except CapabilityMissing as error:
        if errand.endpoint.dialect == Dialect.LMSTUDIO_V0:
            await rows(gone, errand)  # it evicts by itself when the next model is loaded; if it does not, reconciling finds it again
            return
        text = str(error)
    except PeerError as error:
        text = str(error)
    await rows(stayed, errand, text)


async def _absent(client: Client, errand: Errand) -> bool:
    listed = (await client.list(errand.endpoint, errand.timeouts)).find(errand.key)
    return listed is None or all(i.id != errand.instance_id for i in listed.instances)


async def _until(errand: Errand, true: Callable[[], Awaitable[bool]]) -> bool:
    for attempt in range(errand.polls):
        if await true():
            return True
        await asyncio.sleep(min(errand.poll_s, 0.2 * 2**attempt))
    return False


async def _watch(client: Client, errand: Errand, doubt: PeerError) -> LoadResult | PeerError:
    """Ask the list what became of a load that nobody answered for."""
    for _ in range(errand.polls):
        await asyncio.sleep(errand.poll_s)
        try:
            listed = (await client.list(errand.endpoint, errand.timeouts)).find(errand.key)
        except Unreachable as error:
            return error  # what was loading went with its server
        except PeerError as error:
            doubt = error
            continue
        state = listed.state if listed else State.NOT_LOADED
        if listed and state is State.LOADED and listed.instances:
            return _result(listed.instances[0])
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
            return _result(instance, result.seconds)
    return result


def _result(instance: Instance, seconds: float = 0.0) -> LoadResult:
    return LoadResult(instance_id=instance.id, context_length=instance.context_length, parallel=instance.parallel, seconds=seconds)


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
        offer = Offer.objects.filter(server_id=errand.server_id, model_id=placement.model_id).first()
        if not move(
            Placement.objects.filter(pk=placement.pk),
            PlacementState.LOADING,
            PlacementState.LOADED,
            instance_id=result.instance_id,
            slots=placement.server.slots or result.parallel or 1,
            context_length=result.context_length,
            gb=real_gb(placement.model, offer, result.context_length, placement.gb),
            loaded_at=now,
            **FREE,
        ):
            return False
        if offer and not result.already:
            offer.load_seconds = blend(offer.load_seconds, seconds)
            offer.cooldown_until, offer.cooldown_reason = None, ""
            offer.save(update_fields=["load_seconds", "cooldown_until", "cooldown_reason"])
        say(
            "placement.loaded",
            f"{placement.model} is loaded on {placement.server} after {seconds:.1f} s",
            subject=f"server:{placement.server}",
            seconds=round(seconds, 2),
        )
        wake(Channel.SERVE)
        return True


def real_gb(model: LanguageModel, offer: Offer | None, context: int | None, reserved: float) -> float:
    """What an instance takes with the context it really got; what was reserved, if its size is known from nowhere better."""
    if offer is None or offer.size_bytes is None or context is None or model.size_source != LanguageModel.SizeSource.LISTING:
        return reserved
    return need_gb(offer.size_bytes, context=context, key=model.key)


def failed(errand: Errand, error: PeerError) -> None:
    """Record a load that did not happen: the memory is free again, the pair rests, and what the server said is learned."""
    now = clock.now()
    with transaction.atomic():
        placement = _locked(errand)
        if placement is None or not move(
            Placement.objects.filter(pk=placement.pk),
            PlacementState.LOADING,
            PlacementState.FAILED,
            ended_at=now,
            reason=str(error),
            **FREE,
        ):
            return
        offer = Offer.objects.filter(server_id=errand.server_id, model_id=placement.model_id)
        rest = COOLDOWN_S.get(type(error), OTHER_COOLDOWN_S)
        offer.update(cooldown_until=now + timedelta(seconds=rest), cooldown_reason=str(error))
        if isinstance(error, CapabilityMissing):
            Server.objects.filter(pk=errand.server_id).update(detected="", listed_at=None)
        if isinstance(error, OutOfMemory) and error.needs_gb is not None:
            learnable = LanguageModel.objects.filter(pk=placement.model_id).exclude(size_source=LanguageModel.SizeSource.OPERATOR)
            learnable.update(size_gb=error.needs_gb, size_source=LanguageModel.SizeSource.GUARDRAIL)
        say(
            "placement.failed",
            f"{placement.model} could not be loaded on {placement.server}: {error}",
            subject=f"server:{placement.server}",
            level=Level.ERROR,
            code=error.code,
        )
        if error.harms_server or fault(error).misconfigured:
            note(errand.server_id, fault(error), ClusterPolicy.current(), now)
        wake(Channel.SERVE)


def gone(errand: Errand) -> bool:
    """Give back the memory of an instance that the server does not list any more."""
    with transaction.atomic():
        rows = Placement.objects.filter(pk=errand.placement_id)
        done = move(rows, PlacementState.UNLOADING, PlacementState.GONE, ended_at=clock.now(), **FREE)
        if done:
            say("placement.gone", f"{errand.key} left {errand.server}", subject=f"server:{errand.server}")
        wake(Channel.SERVE)
        return bool(done)


def stayed(errand: Errand, text: str) -> None:
    """An unload did not work: the placement stays, as if used now so that another one is tried first, and the server is looked at."""
    now = clock.now()
    with transaction.atomic():
        rows = Placement.objects.filter(pk=errand.placement_id)
        if move(rows, PlacementState.UNLOADING, PlacementState.LOADED, loaded_at=now, used_at=now, **FREE):
            say(
                "placement.stayed",
                f"{errand.key} could not be unloaded from {errand.server}: {text}",
                subject=f"server:{errand.server}",
                level=Level.ERROR,
            )
        Server.objects.filter(pk=errand.server_id).update(listed_at=None)
        wake(Channel.SERVE)
