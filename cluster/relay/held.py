"""Seats that a process holds for the clients that wait there, and the requests that are asked on them. Rows only.

The planner chooses the placements, by the same rules as for everybody, and only where nobody waits for the model: whoever waits comes
first. A seat that is held counts as taken. Its holder looks often whether somebody else has begun to wait, and gives it back then.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q

from cluster import queue
from cluster.catalogue import Catalogue
from cluster.lease import give_back as give_back_all
from cluster.logic.lifecycle import GenerationState, PlacementState, ServerState
from cluster.logic.order import Ticket
from cluster.logic.request import Recorded
from cluster.models import ClusterPolicy, Generation, Placement, Seat
from cluster.plan import propose
from cluster.sight import locked
from cluster.sitting import NEW, PLACES, placed, seated, ticket
from swwbot_site.lib.leases import taken
from swwbot_site.lib.transitions import moving
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.lib.written import together

NUMBERS: Final = 1000
"""So many numbers of requests are taken at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Seats on one placement. `ticket` is what asking there needs, but for the request; `decision` why it is this placement."""

    model_id: int
    n: int
    ticket: Ticket
    decision: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What has changed for a process that holds seats and whose requests wait.

    `turns`: by number, when it is whose turn. `wanted`: models that others wait for. `lost`: placements on which no seat may be held any
    more. `handed`: requests that got a seat. `ended`: those that ended without us: state, code and text by number. So many as `most` may
    wait in all, and `elsewhere` as many do.
    """

    turns: Mapping[int, datetime]
    wanted: frozenset[int]
    lost: frozenset[int]
    handed: tuple[Ticket, ...]
    ended: Mapping[int, tuple[str, str, str]]
    most: int
    elsewhere: int


def numbers() -> list[int]:
    """Numbers for requests that are asked before they are written down."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [Generation._meta.db_table, NUMBERS])
        return [int(row[0]) for row in cursor.fetchall()]


def queue_up(owner: int, model: str, document: Recorded, caller: str, priority: int, queued_at: datetime) -> tuple[int, datetime]:
    """Make a request a row of the queue. Returns its number, and when its turn is. Raises what `queue.submit` raises."""
    with transaction.atomic():
        pk = queue.submit(model, document, caller=caller, now=queued_at, priority=priority, cache=False, home=owner)
        return pk, Generation.objects.values_list("turn_at", flat=True).get(pk=pk)


def hold(owner: int, wants: Mapping[int, int], now: datetime, catalogue: Catalogue) -> list[Block]:
    """Take up to so many free seats, by model, of placements that the planner would choose now; none where somebody waits."""
    catalogue.prepare(now)
    with transaction.atomic():
        policy, seen = locked(now)
        busy = {row[0] for row in seen.waiting}
        free = {model: n for model, n in wants.items() if model not in busy}
        given = [one for one in propose(free, policy, now, catalogue, seen).seats if one.model_id in free] if free else []
        if not given:
            return []
        rows = {row[0]: placed(row) for row in PLACES.rows(ids=sorted({one.placement_id for one in given}))}
        found = [(one, rows[one.placement_id]) for one in given if one.placement_id in rows]
        found = [(one, placement) for one, placement in found if placement.rest_until is None]  # a trial is one request's, not a block's
        lease = taken(owner, now)
        new = [{"generation": None, "placement": placement.pk, "taken_at": now, **lease} for one, placement in found for _ in range(one.n)]
        together(NEW.text(new))
        return [
            Block(
                model_id=one.model_id,
                n=one.n,
                ticket=ticket(Generation(id=0, attempts=0, decision={}, request={}), placement, policy),
                decision={
                    "why": f"{one.why}; on a seat that is held for this door, as nobody else waited",
                    "server": placement.server.name,
                    "strategy": policy.strategy,
                    "candidates": [runner.document() for runner in one.candidates],
                },
            )
            for one, placement in found
        ]


def give_back(owner: int, seats: Mapping[int, int]) -> None:
    """Give back so many held seats, by placement, and let others plan with them."""
    with transaction.atomic():
        for placement_id, n in sorted(seats.items()):
            mine = Seat.objects.filter(lease_owner=owner, generation__isnull=True, placement_id=placement_id).order_by("pk")
            Seat.objects.filter(pk__in=list(mine.select_for_update().values_list("pk", flat=True)[:n])).delete()
        wake(Channel.SERVE)


def recount(owner: int, seats: Mapping[int, int], now: datetime) -> None:
    """Hold so many seats, by placement, and no others: as many as requests sit on, whatever has become of the rows meanwhile."""
    there = set(Placement.objects.filter(pk__in=seats).values_list("pk", flat=True))
    new = [
        {"generation": None, "placement": pk, "taken_at": now, **taken(owner, now)}
        for pk, n in seats.items()
        if pk in there
        for _ in range(n)
    ]
    with transaction.atomic():
        Seat.objects.filter(lease_owner=owner, generation__isnull=True).delete()
        together(NEW.text(new))
        wake(Channel.SERVE)


def release(owner: int) -> None:
    """Give back every seat that is held."""
    if Seat.objects.filter(lease_owner=owner, generation__isnull=True).delete()[0]:
        wake(Channel.SERVE)


def claim(owner: int, chosen: Mapping[int, Block], now: datetime) -> list[int]:
    """Take waiting requests of our own clients out of the queue, onto seats that we hold: the block by number.

    Returns those that waited still.
    """
    each = {
        pk: {"server": block.ticket.server_id, "placement": block.ticket.placement_id, "decision": dict(block.decision)}
        for pk, block in chosen.items()
    }
    moves = moving(
        Generation, GenerationState.QUEUED, GenerationState.RUNNING, each, guard={"home": owner}, seated_at=now, **taken(owner, now)
    )
    return [int(row[0]) for row in together(moves)[0]]


def look(owner: int, waiting: Collection[int], asking: Collection[int], blocks: Mapping[int, Block], now: datetime) -> Standing:
    """What has changed: for the requests that wait or are asked, and for the placements on which seats are held."""
    others = Generation.objects.filter(Generation.ripe(now), Q(home__isnull=True) | ~Q(home=owner)).order_by()
    others = others.filter(model__in={block.model_id for block in blocks.values()})
    mine, policy = set(waiting) | set(asking), ClusterPolicy.current()
    rows = (
        Generation.objects.filter(pk__in=mine).values_list("pk", "turn_at", "state", "lease_owner", "error_code", "error") if mine else ()
    )
    there, turns = dict[int, tuple[Any, ...]](), dict[int, datetime]()
    for pk, turn_at, *row in rows:
        there[pk], turns[pk] = tuple(row), turn_at
    running = [pk for pk in waiting if pk in there and there[pk][:2] == (GenerationState.RUNNING, owner)]
    handed = seated(running, policy) if running else []
    if homeless := sorted(set(running) - {one.generation_id for one in handed}):
        give_back_all(homeless, "the model was gone when it was its turn")
    gone = ("cancelled", "cancelled", "Its row was removed.")
    ended = {pk: (there[pk][0], *there[pk][2:]) if pk in there else gone for pk in mine if pk not in there or _over(there[pk], pk, asking)}
    return Standing(
        turns=turns,
        wanted=frozenset(others.values_list("model_id", flat=True).distinct()) if blocks else frozenset(),
        lost=_lost(blocks) | _pressed(blocks, policy, now) if blocks else frozenset(),
        handed=tuple(handed),
        ended=ended,
        most=policy.max_waiting,
        elsewhere=Generation.objects.filter(state=GenerationState.QUEUED, home__isnull=False).exclude(home=owner).count(),
    )


def _over(row: tuple[Any, ...], pk: int, asking: Collection[int]) -> bool:
    """Whether a request has ended, or was taken from us while we asked it."""
    return row[0] not in ((GenerationState.RUNNING,) if pk in asking else (GenerationState.QUEUED, GenerationState.RUNNING))


def _pressed(blocks: Mapping[int, Block], policy: ClusterPolicy, now: datetime) -> frozenset[int]:
    """The placements that may have to run empty for a model whose turn is long past: whoever plans says where seats may still be taken."""
    late = Generation.objects.filter(Generation.ripe(now), turn_at__lt=now - timedelta(seconds=policy.overdue_s)).order_by()
    models = list(late.values_list("model_id", flat=True).distinct())
    if not models:
        return frozenset()
    here = Placement.objects.filter(pk__in=blocks).exclude(model__in=models).filter(server__offers__model__in=models)
    return frozenset(here.order_by().values_list("pk", flat=True))


def _lost(blocks: Mapping[int, Block]) -> frozenset[int]:
    """The placements that have gone, are to run empty, fail, or whose server is not to be asked, or is asked in another way now."""
    well = Placement.objects.filter(
        pk__in=blocks,
        state=PlacementState.LOADED,
        dismissed=False,
        failures=0,
        rest_until__isnull=True,
        server__enabled=True,
        server__draining=False,
        server__state=ServerState.ONLINE,
    )
    rows = well.select_related(None).annotate(url=F("server__url"), key=F("server__token")).values_list("pk", "url", "key")
    there = {pk: blocks[pk].ticket.endpoint for pk in blocks}
    same = {pk for pk, url, token in rows if (there[pk].url, there[pk].token) == (url, token)}
    return frozenset(blocks) - same
