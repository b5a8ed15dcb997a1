"""How long a plan takes: the pure planner over random clusters, and the reading of rows that it is made from.

The clusters are seeded and busy: memory four fifths full, a fifth of the placements full, two fifths partly busy, three servers of
a hundred loading, demand for few models high and for most low, some of it pinned to one server.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from cluster import plan as reading
from cluster.catalogue import Catalogue
from cluster.logic.lifecycle import PlacementState
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState, Demand, ModelView, OfferView, PlacementView, PlanPolicy, ServerView
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Seat, Server
from swwbot_site.bench.figures import spread
from swwbot_site.lib import clock
from swwbot_site.lib.leases import taken

SIZES = ((2, 10), (20, 50), (200, 100))
WAITING = (0, 100, 10_000)
PINS = 10
"""Pairs of model and server that some of the waiting are pinned to."""

BUDGETS = (32.0, 64.0, 96.0, 192.0)
SLOTS = 4
NOW = 1_800_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One moment of one cluster."""

    servers: list[ServerView]
    models: dict[int, ModelView]
    placements: list[PlacementView]
    offers: list[OfferView]
    demand: list[Demand]

    def state(self) -> ClusterState:
        return ClusterState(self.servers, self.models, self.placements, self.offers, disk=0.2)


def scene(servers: int, models: int, waiting: int, seed: int) -> Scene:
    """A random cluster; the same for the same arguments."""
    dice = Random(f"{seed}|{servers}|{models}|{waiting}")
    shares = [1 / rank**0.9 for rank in range(1, models + 1)]
    dice.shuffle(shares)
    machines = [ServerView(id=n, name=f"server-{n}", budget_gb=dice.choice(BUDGETS) * 0.9) for n in range(1, servers + 1)]
    known = {
        n: ModelView(
            id=n,
            key=f"maker/model-{n}",
            need_gb=dice.choice((4.0, 8.0, 14.0, 20.0, 28.0)),
            slots=SLOTS,
            rate=shares[n - 1] * servers * 0.1,
            answer_s=dice.uniform(3, 8),
        )
        for n in range(1, models + 1)
    }
    offers = [
        OfferView(server_id=s.id, model_id=m, load_s=view.need_gb / 2, answer_s=dice.uniform(3, 8), spread_s=1.0, answers=20.0)
        for s in machines
        for m, view in known.items()
    ]
    places = _placements(machines, known, shares, dice)
    return Scene(servers=machines, models=known, placements=places, offers=offers, demand=_demand(servers, shares, waiting, dice))


def _placements(machines: Sequence[ServerView], known: dict[int, ModelView], shares: Sequence[float], dice: Random) -> list[PlacementView]:
    found: list[PlacementView] = []
    for machine in machines:
        held, here = 0.0, set[int]()
        loading = dice.random() < 0.03
        for model_id in dice.choices(list(known), weights=shares, k=12):
            gb = known[model_id].need_gb
            if model_id in here or held + gb > machine.budget_gb * 0.8:
                continue
            here.add(model_id)
            held += gb
            state = PlacementState.LOADING if loading and len(here) == 1 else PlacementState.LOADED
            lot = dice.random()
            busy = 0 if lot < 0.4 or state is PlacementState.LOADING else SLOTS if lot > 0.8 else dice.randint(1, SLOTS - 1)
            since = NOW - dice.uniform(1, 3000)
            found.append(
                PlacementView(
                    id=len(found) + 1,
                    server_id=machine.id,
                    model_id=model_id,
                    state=state,
                    gb=gb,
                    slots=SLOTS,
                    in_flight=busy,
                    since=since,
                    used_at=None if state is PlacementState.LOADING else dice.uniform(since, NOW),
                    served=state is not PlacementState.LOADING,
                )
            )
    return found


def _demand(servers: int, shares: Sequence[float], waiting: int, dice: Random) -> list[Demand]:
    counts: dict[tuple[int, int | None], int] = {}
    models = range(1, len(shares) + 1)
    pins = [(dice.choice(models), dice.randint(1, servers)) for _ in range(PINS)]
    for model_id in dice.choices(models, weights=shares, k=waiting):
        key = dice.choice(pins) if dice.random() < 0.05 else (model_id, None)
        counts[key] = counts.get(key, 0) + 1
    return [
        Demand(model_id=model, pin_id=pin, waiting=n, turn=NOW - (waited := dice.uniform(0, 60)), oldest=NOW - waited, caller="bench")
        for (model, pin), n in counts.items()
    ]


def run(rounds: int, sizes: Sequence[tuple[int, int]] = SIZES) -> list[dict[str, object]]:
    """One row per size and number of waiting: milliseconds of the pure planner over `rounds` different clusters.

    `cpu_ms` leaves out what other processes took meanwhile.
    """
    return [_timed(servers, models, waiting, rounds) for servers, models in sizes for waiting in WAITING]


def _timed(servers: int, models: int, waiting: int, rounds: int) -> dict[str, object]:
    policy = PlanPolicy()
    took: list[float] = []
    cpu: list[float] = []
    seats = loads = waits = 0
    for seed in range(rounds + 2):
        one = scene(servers, models, waiting, seed)
        state = one.state()
        begun, busy = time.perf_counter(), time.thread_time()
        decision = plan(state, one.demand, policy, NOW, 256)
        if seed >= 2:  # the first ones warm the interpreter up
            took.append((time.perf_counter() - begun) * 1000)
            cpu.append((time.thread_time() - busy) * 1000)
            seats, loads, waits = seats + len(decision.seats), loads + len(decision.loads), waits + len(decision.waits)
    each = {"seats": round(seats / rounds, 1), "loads": round(loads / rounds, 1), "waits": round(waits / rounds, 1)}
    size = {"servers": servers, "models": models, "waiting": waiting, "plans": rounds}
    return {**size, "plan_ms": spread(took, 3), "cpu_ms": spread(cpu, 3), "decisions": each}


def rows(servers: int, models: int, waiting: int, rounds: int) -> dict[str, object]:
    """Milliseconds to read such a cluster from the rows of the running database, step by step, and to plan over it."""
    _fill(scene(servers, models, waiting, 1))
    policy, catalogue, now = ClusterPolicy.current(), Catalogue(), clock.now()
    took: dict[str, list[float]] = {name: [] for name in ("offers_anew", "offers_known", "demand", "state", "plan")}
    for _ in range(rounds):
        catalogue.forget()
        marks = [time.perf_counter()]
        catalogue.refresh(now)
        marks.append(time.perf_counter())
        catalogue.refresh(now)
        marks.append(time.perf_counter())
        needs = reading.demand(now)
        marks.append(time.perf_counter())
        state = reading.read(now, policy, catalogue)
        marks.append(time.perf_counter())
        plan(state, needs, reading.policy_view(policy), now.timestamp(), 256)
        marks.append(time.perf_counter())
        for name, begin, end in zip(took, marks[:-1], marks[1:], strict=True):
            took[name].append((end - begin) * 1000)
    return {"servers": servers, "models": models, "waiting": waiting, "rounds": rounds, **{k: spread(v, 2) for k, v in took.items()}}


def _fill(one: Scene) -> None:
    """Write a scene into the database, in place of whatever is there."""
    for kind in (Seat, Generation, Placement, Offer, LanguageModel, Server):
        kind.objects.all().delete()
    now = clock.now()
    machines = {
        s.id: Server(name=s.name, url=f"http://10.0.{s.id // 250}.{s.id % 250}:1234", budget_gb=s.budget_gb / 0.9, state="online")
        for s in one.servers
    }
    Server.objects.bulk_create(machines.values())
    models = {m.id: LanguageModel(key=m.key, size_gb=m.need_gb, rate=m.rate) for m in one.models.values()}
    LanguageModel.objects.bulk_create(models.values())
    Offer.objects.bulk_create(
        Offer(
            server=machines[o.server_id],
            model=models[o.model_id],
            key=models[o.model_id].key,
            listed_at=now,
            load_seconds=o.load_s,
            answer_seconds=o.answer_s,
            answer_spread=o.spread_s,
            answers=o.answers,
            answered_at=now,
        )
        for o in one.offers
    )
    places = [
        Placement(
            server=machines[p.server_id],
            model=models[p.model_id],
            state=p.state,
            instance_id=models[p.model_id].key,
            gb=p.gb,
            slots=p.slots,
            created_at=now - timedelta(seconds=NOW - p.since),
            loaded_at=now - timedelta(seconds=NOW - p.since),
            used_at=now - timedelta(seconds=NOW - p.used_at) if p.used_at else None,
            served=p.served,
            **(taken(1, now) if p.state is PlacementState.LOADING else {}),
        )
        for p in one.placements
    ]
    Placement.objects.bulk_create(places)
    _fill_requests(one, machines, models, places)


def _fill_requests(one: Scene, machines: dict[int, Server], models: dict[int, LanguageModel], places: Sequence[Placement]) -> None:
    now = clock.now()
    common = {"caller": "bench", "request": {"messages": []}, "queued_at": now}
    busy = [place for place, view in zip(places, one.placements, strict=True) for _ in range(view.in_flight)]
    running = Generation.objects.bulk_create(
        Generation(model=p.model, server=p.server, placement=p, state="running", **common, **taken(1, now)) for p in busy
    )
    Seat.objects.bulk_create(Seat(generation=g, placement=p, taken_at=now, **taken(1, now)) for g, p in zip(running, busy, strict=True))
    Generation.objects.bulk_create(
        Generation(model=models[d.model_id], pin=machines[d.pin_id] if d.pin_id else None, **common)
        for d in one.demand
        for _ in range(d.waiting)
    )
