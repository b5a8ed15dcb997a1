"""What an engine holds: kept by its heartbeat, taken back when it has died, given back when it stops. Rows only."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet

from cluster import cache
from cluster.logic.lifecycle import ENDED, GenerationState, PlacementState
from cluster.models import Generation, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import EVERYBODY, FREE, GRACE, LEASE, abandoned, gone, lost
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.lib.written import Written, together


def _left(make: Callable[..., QuerySet[Any]]) -> Written:
    gaps = {"now": datetime, "late": datetime, "before": datetime, "alive": list}
    return Written(lambda **given: make(**given).order_by().values_list("pk")[:1], **gaps)


LEFT: Final = (
    _left(lambda **_: Generation.objects.filter(state=GenerationState.QUEUED, leader__state__in=ENDED)),
    _left(lambda now, late, alive, **_: Seat.objects.filter(lost(now, late, alive), generation__isnull=True)),
    _left(
        lambda before, alive, **_: Generation.objects.filter(
            gone("home", alive), home__isnull=False, state=GenerationState.QUEUED, queued_at__lt=before
        )
    ),
    _left(lambda now, late, alive, **_: Generation.objects.filter(lost(now, late, alive), state=GenerationState.RUNNING)),
    _left(
        lambda now, late, alive, **_: Placement.objects.filter(
            lost(now, late, alive), state__in=[PlacementState.LOADING, PlacementState.UNLOADING]
        )
    ),
)
"""What `reap` takes back, of each kind one row: nobody, in nearly every beat of a heart, has left anything."""


def renew(owner: int, generations: Sequence[int], placements: Sequence[int], now: datetime) -> None:
    """Renew the leases of what an engine really has in hand; what it only holds on paper runs out and is taken back.

    What somebody has locked at this moment is being settled, and needs no renewal.
    """
    with transaction.atomic():
        mine = Generation.objects.filter(lease_owner=owner, state=GenerationState.RUNNING, pk__in=generations)
        ids = list(mine.order_by("pk").select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
        Generation.objects.filter(pk__in=ids).update(lease_until=now + LEASE)
        seats = Seat.objects.filter(Q(generation_id__in=ids) | Q(generation__isnull=True), lease_owner=owner)
        seats.update(lease_until=now + LEASE)
    with transaction.atomic():
        held = Placement.objects.filter(lease_owner=owner, pk__in=placements)
        ids = list(held.order_by("pk").select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
        Placement.objects.filter(pk__in=ids).update(lease_until=now + LEASE)


def reap(now: datetime, alive: frozenset[int]) -> int:
    """Give back what dead engines had in flight: it waits again, and the attempt is not counted. Their loads are looked at.

    Whoever still waits for the answer of an equal request that has ended is freed.
    """
    if not _anything(now, alive):
        return 0  # nearly always
    cache.settle(now)
    _desert(now, alive)
    _look_at(Placement.objects.filter(abandoned(now, alive), state__in=[PlacementState.LOADING, PlacementState.UNLOADING]))
    with transaction.atomic():
        lost = Generation.objects.filter(abandoned(now, alive), state=GenerationState.RUNNING)
        ids = list(lost.select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
        return give_back(ids, "its engine died") if ids else 0


def _anything(now: datetime, alive: frozenset[int]) -> bool:
    """Whether there may be something to be taken back, in one question."""
    if not alive or alive == EVERYBODY:
        return True
    moments = {"now": now, "late": now + LEASE - GRACE, "before": now - GRACE}
    return any(together(*(each.text(**moments, alive=alive) for each in LEFT)))


def _desert(now: datetime, alive: frozenset[int]) -> None:
    """End what clients waited for in a process that is not there any more, for they went with it; free the seats that it held.

    A process that lives renews what it asks: a request whose lease has run out is one that it does not know of.
    """
    freed, _ = Seat.objects.filter(abandoned(now, alive), generation__isnull=True).delete()
    homes = gone("home", alive) & Q(home__isnull=False)
    waiting = Generation.objects.filter(homes, state=GenerationState.QUEUED, queued_at__lt=now - GRACE)
    running = Generation.objects.filter(abandoned(now, alive), home__isnull=False, state=GenerationState.RUNNING)
    for state, rows in ((GenerationState.QUEUED, waiting), (GenerationState.RUNNING, running)):
        with transaction.atomic():
            ids = list(rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list("pk", flat=True))
            if ids:
                Seat.objects.filter(generation_id__in=ids).delete()
                told = {"ended_at": now, "error_code": "cancelled", "error": "Its client went with the process in which it waited."}
                move(Generation.objects.filter(pk__in=ids), state, GenerationState.CANCELLED, **told, **FREE)
                freed += len(ids)
    if freed:
        wake(Channel.SERVE)


def give_back(ids: list[int], why: str) -> int:
    """Running generations back into the queue, their seats free."""
    with transaction.atomic():
        Seat.objects.filter(generation_id__in=ids).delete()
        count = move(Generation.objects.filter(pk__in=ids), GenerationState.RUNNING, GenerationState.QUEUED, **FREE)
        if count:
            say("generation.requeued", f"{count} requests wait again: {why}", level=Level.WARNING)
            wake(Channel.SERVE)
        return count


def release(owner: int, tickets: list[int]) -> None:
    """At the end of an engine: what it has not finished waits again; its loads may be taken over at once, and its looks at servers too."""
    mine = Generation.objects.filter(pk__in=tickets, lease_owner=owner).values_list("pk", flat=True)
    give_back(list(mine), "the engine stops")
    held = Placement.objects.filter(lease_owner=owner, state__in=[PlacementState.LOADING, PlacementState.UNLOADING])
    _look_at(held)
    held.update(lease_until=clock.now() - timedelta(seconds=1))
    Server.objects.filter(probe_lease_owner=owner).update(probe_lease_owner=None, probe_lease_until=None)


def _look_at(placements: QuerySet[Placement]) -> None:
    """Let the servers of placements that nobody looks after be asked what became of them."""
    servers = sorted(set(placements.values_list("server_id", flat=True)))
    if servers and Server.objects.filter(pk__in=servers).update(listed_at=None):
        wake(Channel.SERVE)
