"""Step 7, the way back: outside any lock, unload, and give the memory back when the server's list does not show it any more."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime

from django.db import transaction
from django.db.models import Count

from cluster.address import errand as order
from cluster.lmstudio.client import Client
from cluster.lmstudio.dialects import unloads
from cluster.lmstudio.errors import CapabilityMissing, PeerError
from cluster.logic.copies import Copy, surplus
from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.order import Errand
from cluster.models import ClusterPolicy, Generation, Placement, Server
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import FREE, taken
from swwbot_site.lib.loops import Rows
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake


def duplicates(server_id: int, owner: int, now: datetime) -> list[Errand]:
    """Mark copies of a model that its server has twice as leaving, for the engine `owner` to unload; busy and pinned ones stay.

    While somebody waits for the model all of them stay: they are of use.

    The cluster never loads a second copy on one server: somebody else did, or requests that raced for a load on demand.
    """
    rows = Placement.objects.filter(server_id=server_id, state=PlacementState.LOADED)
    double = [m for m, n in rows.values_list("model_id").annotate(n=Count("pk")).order_by("model_id") if n > 1]
    server = Server.objects.filter(pk=server_id).first() if double else None
    if server is None or not unloads(server.spoken):
        return []
    policy = ClusterPolicy.current()
    with transaction.atomic():
        ClusterPolicy.objects.select_for_update(no_key=True).get(pk=policy.pk)  # nobody gives a seat meanwhile
        wanted = Generation.objects.filter(state=GenerationState.QUEUED, model_id__in=double).values("model_id")
        there = rows.filter(model_id__in=double).exclude(model_id__in=wanted).order_by("pk")
        held = there.select_for_update(no_key=True, of=("self",)).select_related("server", "model")
        copies: defaultdict[int, dict[int, Placement]] = defaultdict(dict)
        for row in held:
            copies[row.model_id][row.pk] = row
        going = [found[pk] for found in copies.values() for pk in surplus([_copy(row) for row in found.values()])]
        return [order(row, policy) for row in going if _mark(row, owner, now)]


def _copy(row: Placement) -> Copy:
    since = (row.loaded_at or row.created_at).timestamp()
    return Copy(id=row.pk, since=since, busy=row.seats.exists(), pinned=row.pinned)


def _mark(row: Placement, owner: int, now: datetime) -> bool:
    why = "it is there twice, and nobody uses this copy"
    rows = Placement.objects.filter(pk=row.pk)
    if not move(rows, PlacementState.LOADED, PlacementState.UNLOADING, departure={"why": why}, **taken(owner, now)):
        return False
    say("placement.duplicate", f"{row.instance_id} leaves {row.server}: {why}", subject=f"server:{row.server}")
    return True


async def unload(client: Client, rows: Rows, errand: Errand) -> None:
    """Unload an instance; its memory is given back when the server's list does not show it any more."""
    try:
        await client.unload(errand.endpoint, errand.instance_id, model_key=errand.key, timeouts=errand.timeouts)
        if await _until(errand, lambda: _absent(client, errand)):
            await rows(gone, errand)
            return
        text = "the server still lists it after it was told to unload it"
    except CapabilityMissing as error:
        if not unloads(errand.endpoint.dialect):
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


def gone(errand: Errand) -> bool:
    """Give back the memory of an instance that the server does not list any more."""
    with transaction.atomic():
        rows = Placement.objects.filter(pk=errand.placement_id)
        done = move(rows, PlacementState.UNLOADING, PlacementState.GONE, ended_at=clock.now(), **FREE)
        if done:
            say("placement.gone", f"{errand.key} left {errand.server}", subject=f"server:{errand.server}")
        wake(Channel.PLAN, Channel.SERVE)
        return bool(done)


def stayed(errand: Errand, text: str) -> None:
    """An unload did not work: the placement stays, as if used now so that another one is tried first, and the server is looked at."""
    now = clock.now()
    with transaction.atomic():
        rows = Placement.objects.filter(pk=errand.placement_id)
        if move(rows, PlacementState.UNLOADING, PlacementState.LOADED, loaded_at=now, used_at=now, dismissed=False, **FREE):
            say(
                "placement.stayed",
                f"{errand.key} could not be unloaded from {errand.server}: {text}",
                subject=f"server:{errand.server}",
                level=Level.ERROR,
            )
        Server.objects.filter(pk=errand.server_id).update(listed_at=None)
        wake(Channel.SERVE)
