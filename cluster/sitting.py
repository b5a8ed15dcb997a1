"""The seats of a plan given to those whose turn it is: all demands at once, in two ways to the database and back."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from django.db.models import Count, F, Model, OuterRef, QuerySet, Subquery

from cluster.address import endpoint, timeouts
from cluster.health import trial
from cluster.logic.decision import Seat as Given
from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.order import Ticket
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Seat, Server
from swwbot_site.lib.bulk import changes
from swwbot_site.lib.leases import LEASE
from swwbot_site.lib.transitions import moving
from swwbot_site.lib.wake import Channel, waking
from swwbot_site.lib.written import Insert, Written, together


def _own(model: type[Model], *names: str) -> tuple[str, ...]:
    """Columns in the order in which Django makes an instance of their values."""
    return tuple(field.attname for field in model._meta.concrete_fields if field.attname in names)


PLACE: Final = _own(Placement, "id", "server_id", "model_id", "instance_id", "context_length", "rest_until")
SERVER: Final = _own(Server, "name", "url", "token", "dialect", "detected")
ASKED: Final = _own(Generation, "id", "attempts", "decision", "request", "home")
"""What a ticket takes from the rows of placements, of their servers, and of generations."""


def _places(ids: list[int]) -> QuerySet[Placement, Any]:
    spelling = Offer.objects.filter(server=OuterRef("server"), model=OuterRef("model")).order_by().values("key")
    rows = Placement.objects.filter(pk__in=ids, state=PlacementState.LOADED).order_by("pk").select_for_update(no_key=True, of=("self",))
    words = {"key": F("model__key"), "aliases": F("model__aliases"), "spelling": Subquery(spelling)}
    return rows.annotate(**words).values_list(*PLACE, *words, *(f"server__{name}" for name in SERVER))


def _turns(now: datetime, model: int, pin: int | None = None, avoid: int | None = None) -> QuerySet[Generation, Any]:
    rows = Generation.objects.filter(Generation.ripe(now), model_id=model, pin_id=pin, avoid_id=avoid).order_by("turn_at", "id")
    return rows.select_for_update(no_key=True, skip_locked=True, of=("self",)).values_list(*ASKED)


def _placed(ids: list[int]) -> QuerySet[Generation, Any]:
    rows = Generation.objects.filter(pk__in=ids, state=GenerationState.RUNNING, placement__isnull=False)
    return rows.order_by().values_list("pk", "placement_id")


PLACES: Final = Written(_places, ids=list)
PLACED: Final = Written(_placed, ids=list)
TURNS: Final = {
    (pin, avoid): Written(_turns, now=datetime, model=int, **({"pin": int} if pin else {}), **({"avoid": int} if avoid else {}))
    for pin in (False, True)
    for avoid in (False, True)
}
"""By whether a demand has a pin, and a server to avoid."""

NEW: Final = Insert(Seat, "generation", "placement", "taken_at", "lease_owner", "lease_until")


def sit(seats: Sequence[Given], owner: int, policy: ClusterPolicy, now: datetime) -> list[Ticket]:
    """Give the seats of placements to the generations whose turn it is. Call it under the lock they were planned under.

    Returns the tickets of those that this engine asks. For whom a client waits in another process, that process is the owner; it hears
    of its seat and asks itself.
    """
    demands: dict[tuple[int, int | None, int | None], list[Given]] = {}
    for given in seats:
        demands.setdefault((given.model_id, given.pin_id, given.avoid_id), []).append(given)
    wanted = [_chosen(model_id, pin_id, avoid_id, found, now) for (model_id, pin_id, avoid_id), found in demands.items()]
    rows, *turns = together(PLACES.text(ids=sorted({given.placement_id for given in seats})), *wanted)
    placements = {row[0]: placed(row) for row in rows}
    room = _unhedged(placements) if policy.hedge_after_s else {}
    taking: dict[int, tuple[Generation, Any]] = {}
    each: dict[int, dict[str, object]] = {}
    for found, first in zip(demands.values(), turns, strict=True):
        chosen = [_generation(row) for row in first]
        for given in found:
            placement = placements.get(given.placement_id)
            if placement is None or not chosen or (placement.rest_until is not None and not trial(placement, policy, now)):
                continue
            told = {
                "why": given.why,
                "server": placement.server.name,
                "strategy": policy.strategy,
                "candidates": [one.document() for one in given.candidates],
            }
            count = min(given.n, room.get(placement.pk, given.n))
            for generation in chosen[:count]:
                waited = generation.decision.get("waits")
                decision = {**told, "waited": waited} if waited else told
                each[generation.pk] = {
                    "server": placement.server_id,
                    "placement": placement.pk,
                    "decision": decision,
                    "lease_owner": generation.home or owner,
                }
                taking[generation.pk] = generation, placement
            del chosen[:count]
    _write(taking, each, now)
    return [ticket(*taking[pk], policy) for pk in each if taking[pk][0].home is None]


def _write(taking: dict[int, tuple[Generation, Any]], each: dict[int, dict[str, object]], now: datetime) -> None:
    """Write who sits where; all of them are locked, so that all of them move."""
    if not each:
        return
    until = now + LEASE
    moves = moving(Generation, GenerationState.QUEUED, GenerationState.RUNNING, each, guard={}, seated_at=now, lease_until=until)
    new = [
        {"generation": pk, "placement": placement.pk, "taken_at": now, "lease_owner": each[pk]["lease_owner"], "lease_until": until}
        for pk, (_, placement) in taking.items()
    ]
    used = changes(Placement, {placement.pk: {"used_at": now} for _, placement in taking.values()})
    away = any(generation.home is not None for generation, _ in taking.values())
    seated = together(moves, NEW.text(new), used, waking(Channel.RELAY) if away else "")[0]
    assert len(seated) == len(each), "a locked row has moved"


def seated(ids: Sequence[int], policy: ClusterPolicy) -> list[Ticket]:
    """The tickets of running generations; none for one whose placement is not there any more."""
    rows = together(PLACED.text(ids=list(ids)))[0]
    where = {row[0]: row[1] for row in rows}
    placements = {row[0]: placed(row) for row in PLACES.rows(ids=sorted(set(where.values())))}
    found = Generation.objects.filter(pk__in=[pk for pk, place in where.items() if place in placements]).only(*ASKED)
    return [ticket(generation, placements[where[generation.pk]], policy) for generation in found]


def _chosen(model_id: int, pin_id: int | None, avoid_id: int | None, found: Sequence[Given], now: datetime) -> str:
    """The statement that locks those who get the seats of one demand: by turn, and of equal turn who came first."""
    where = {name: pk for name, pk in (("pin", pin_id), ("avoid", avoid_id)) if pk is not None}
    turns = TURNS[pin_id is not None, avoid_id is not None].text(now=now, model=model_id, **where)
    return f"{turns} LIMIT {sum(given.n for given in found)}"


def _unhedged(placements: Iterable[int]) -> dict[int, int]:
    """The seats that are free on locked placements: who asks twice takes one without the planner's lock."""
    rows = Placement.objects.filter(pk__in=placements).annotate(n=Count("seats")).values_list("pk", "slots", "n")
    return {pk: max(0, slots - n) for pk, slots, n in rows}


def placed(row: tuple[Any, ...]) -> Any:
    """A row of `PLACES` as a placement with its server, its model and the server's spelling of the model's name."""
    own, (key, aliases, spelling), server = row[: len(PLACE)], row[len(PLACE) : -len(SERVER)], row[-len(SERVER) :]
    placement: Any = Placement.from_db("default", PLACE, own)
    placement.server = Server.from_db("default", ("id", *SERVER), (placement.server_id, *server))
    placement.model = LanguageModel.from_db("default", ("id", "key", "aliases"), (placement.model_id, key, json.loads(aliases)))
    placement.spelling = spelling
    return placement


def _generation(row: tuple[Any, ...]) -> Generation:
    generation = Generation.from_db("default", ASKED, row)
    generation.decision, generation.request = json.loads(str(generation.decision)), json.loads(str(generation.request))
    return generation


def ticket(generation: Generation, placement: Any, policy: ClusterPolicy) -> Ticket:
    """What asking a generation on a placement needs; `placement` is what `placed` gives."""
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
