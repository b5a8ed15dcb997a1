"""What every plan keeps, whatever the cluster looks like."""

from collections import Counter
from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.logic.balancing import STRATEGIES
from cluster.logic.decision import Plan
from cluster.logic.lifecycle import PlacementState
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState, Demand, ModelView, OfferView, PlacementView, PlanPolicy, ServerView
from tests.logic.cluster.views import NOW, ago

SERVERS, MODELS = range(1, 5), range(1, 6)
MOMENTS = st.sampled_from([5.0, 15.0, 60.0, 400.0, 4000.0]).map(ago)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterState:
    """A few servers with models in all states; no server holds more than its budget or loads two at once."""
    servers = []
    for ident in draw(st.lists(st.sampled_from(SERVERS), unique=True)):
        usable = draw(st.integers(0, 5)) > 0
        servers.append(
            ServerView(
                id=ident,
                name=f"mac-{ident}",
                budget_gb=draw(st.sampled_from([8.0, 24.0, 60.0])),
                well=usable and draw(st.integers(0, 3)) > 0,
                usable=usable,
                max_models=draw(st.sampled_from([None, None, 1, 2])),
                formats=draw(st.sampled_from([(), ("MLX",), ("GGUF", "MLX")])),
                preferred=draw(st.sampled_from([(), ("*",), ("maker/model-1",)])),
                weight=draw(st.sampled_from([0.5, 1.0, 2.0])),
                far=draw(st.integers(0, 3)) == 0,
            )
        )
    models = {
        i: ModelView(
            id=i,
            key=f"maker/model-{i}",
            need_gb=draw(st.sampled_from([2.0, 9.0, 20.0, 50.0])),
            slots=draw(st.integers(1, 4)),
            rate=draw(st.sampled_from([0.0, 0.01, 1.0])),
            usual=draw(st.sampled_from([0.0, 0.1])),
            successor_id=draw(st.sampled_from([None, None, None, *MODELS])),
        )
        for i in MODELS
    }
    offers: list[OfferView] = []
    placements: list[PlacementView] = []
    for server in servers:
        _furnish(draw, server, models, offers, placements)
    return ClusterState(servers, models, placements, offers, disk=draw(st.sampled_from([0.0, 0.1, 1.0])))


def _furnish(
    draw: st.DrawFn, server: ServerView, models: dict[int, ModelView], offers: list[OfferView], placements: list[PlacementView]
) -> None:
    free, loading = server.budget_gb, False
    for i in MODELS:
        if draw(st.booleans()):
            cooldown = draw(st.sampled_from([None, None, NOW, NOW + 9]))
            offers.append(
                OfferView(
                    server_id=server.id,
                    model_id=i,
                    format=draw(st.sampled_from(["", "gguf", "mlx"])),
                    load_s=draw(st.sampled_from([None, 3.0])),
                    answer_s=draw(st.sampled_from([None, 1.0, 9.0])),
                    spread_s=draw(st.sampled_from([None, 2.0])),
                    answers=draw(st.sampled_from([0.0, 50.0])),
                    keep=draw(st.integers(0, 5)) == 0,
                    cooldown_until=cooldown,
                    cooldown_reason="it failed" if cooldown else "",
                )
            )
        if models[i].need_gb > free or not draw(st.booleans()):
            continue
        state = draw(st.sampled_from([s for s in PlacementState if not (loading and s is PlacementState.LOADING)]))
        loading = loading or state is PlacementState.LOADING
        slots = draw(st.integers(1, 4))
        placements.append(
            PlacementView(
                id=100 * server.id + i,
                server_id=server.id,
                model_id=i,
                state=state,
                gb=models[i].need_gb,
                slots=slots,
                in_flight=draw(st.integers(0, slots)) if state is PlacementState.LOADED else 0,
                pinned=draw(st.integers(0, 5)) == 0,
                since=draw(MOMENTS),
                used_at=draw(st.one_of(st.none(), MOMENTS)),
                served=draw(st.booleans()),
                dismissed=draw(st.integers(0, 5)) == 0,
            )
        )
        free -= models[i].need_gb


def asked(
    model_id: int, pin_id: int | None, avoid_id: int | None, waiting: int, priority: int, oldest: float, patience: float | None
) -> Demand:
    return Demand(
        model_id=model_id,
        pin_id=pin_id,
        avoid_id=avoid_id,
        waiting=waiting,
        priority=priority,
        turn=oldest + 3 * priority,
        oldest=oldest,
        deadline=None if patience is None else max(NOW, oldest + patience),
    )


DEMANDS = st.lists(
    st.builds(
        asked,
        model_id=st.sampled_from(MODELS),
        pin_id=st.sampled_from([None, None, None, *SERVERS]),
        avoid_id=st.sampled_from([None, None, None, *SERVERS]),
        waiting=st.sampled_from([1, 2, 9, 500]),
        priority=st.integers(0, 99),
        oldest=MOMENTS,
        patience=st.sampled_from([None, 30.0, 300.0]),
    ),
    max_size=8,
    unique_by=lambda d: (d.model_id, d.pin_id, d.avoid_id),
)
POLICIES = st.builds(
    PlanPolicy,
    strategy=st.sampled_from(sorted(STRATEGIES)),
    min_residency_s=st.sampled_from([0.0, 20.0]),
    keep_models_loaded=st.booleans(),
    overdue_s=st.sampled_from([10.0, 300.0, 1e6]),
    preload=st.booleans(),
)


def kept(cluster: ClusterState, demand: list[Demand], policy: PlanPolicy, decision: Plan) -> None:
    """Everything that a plan may not break."""
    servers = cluster.servers
    held = {p.id: p for p in cluster.all()}
    offers = {(o.server_id, o.model_id): o for some in cluster.offers.values() for o in some.values()}

    given: Counter[int] = Counter()
    for seat in decision.seats:
        place = held[seat.placement_id]
        given[seat.placement_id] += seat.n
        assert place.state is PlacementState.LOADED
        assert place.model_id == seat.model_id
        assert seat.pin_id in (None, place.server_id)
        assert servers[place.server_id].well
    assert all(n <= held[pid].free for pid, n in given.items())

    victims = [pid for load in decision.loads for pid in load.evict] + [u.placement_id for u in decision.unloads]
    assert len(victims) == len(set(victims))
    for pid in victims:
        place = held[pid]
        assert place.state is PlacementState.LOADED
        assert place.in_flight == 0
        assert given[pid] == 0
        assert not place.pinned
        assert servers[place.server_id].well
    overdue = {d.model_id for d in demand if d.turn + policy.overdue_s <= NOW}
    for load in decision.loads:
        if load.model_id not in overdue:
            assert all(held[pid].since + policy.min_residency_s <= NOW for pid in load.evict)

    assert len({load.server_id for load in decision.loads}) == len(decision.loads)
    for load in decision.loads:
        server, offer = servers[load.server_id], offers[load.server_id, load.model_id]
        here = cluster.by_server[server.id]
        left = [p for p in here if p.id not in load.evict]
        leaving = [p for p in left if p.state is PlacementState.UNLOADING]
        assert server.well
        assert not any(p.state is PlacementState.LOADING for p in here)
        assert not any(p.model_id == load.model_id and p.state is PlacementState.LOADED for p in left)
        assert offer.cooldown_until is None or offer.cooldown_until <= NOW
        assert not server.formats or not offer.format or offer.format.upper() in server.formats
        assert load.gb == cluster.models[load.model_id].need_gb
        counted = leaving if load.evict else []  # a load with victims is sent only after they, and those before them, are gone
        assert sum(p.gb for p in left) - sum(p.gb for p in counted) + load.gb <= server.budget_gb + 1e-6
        assert server.max_models is None or len(left) - len(counted) + 1 <= server.max_models
        wanting = [d for d in demand if d.model_id == load.model_id and d.pin_id in (None, load.server_id)]
        assert wanting or load.preload or offer.keep
        assert wanting or not load.evict

    told = Counter((i.model_id, i.pin_id) for i in (*decision.waits, *decision.impossible))
    for d in demand:
        seated = sum(s.n for s in decision.seats if (s.model_id, s.pin_id, s.avoid_id) == (d.model_id, d.pin_id, d.avoid_id))
        loading = any(load.model_id == d.model_id and d.pin_id in (None, load.server_id) for load in decision.loads)
        assert seated <= d.waiting
        assert seated == d.waiting or loading or told[d.model_id, d.pin_id], "somebody waits and nobody says why"
    assert all(w.why for w in (*decision.waits, *decision.impossible))


@settings(max_examples=400, deadline=None)
@given(clusters(), DEMANDS, POLICIES)
def test_no_plan_breaks_a_promise(cluster: ClusterState, demand: list[Demand], policy: PlanPolicy) -> None:
    kept(cluster, demand, policy, plan(cluster, demand, policy, NOW))


@settings(max_examples=150, deadline=None)
@given(clusters(), DEMANDS, POLICIES, st.randoms(use_true_random=False))
def test_equal_input_gives_an_equal_plan_in_whatever_order_rows_come(cluster, demand, policy, dice) -> None:
    def mixed(rows):
        copy = list(rows)
        dice.shuffle(copy)
        return copy

    models = dict(mixed(cluster.models.items()))
    offers = mixed(o for some in cluster.offers.values() for o in some.values())
    other = ClusterState(mixed(cluster.servers.values()), models, mixed(cluster.all()), offers, disk=cluster.disk)
    assert plan(cluster, demand, policy, NOW) == plan(other, mixed(demand), policy, NOW)


@settings(max_examples=150, deadline=None)
@given(clusters(), DEMANDS, POLICIES)
def test_planning_changes_nothing_that_it_was_given(cluster: ClusterState, demand: list[Demand], policy: PlanPolicy) -> None:
    before = deepcopy(([*cluster.all()], dict(cluster.servers), dict(cluster.models), demand, set(cluster.loading)))
    plan(cluster, demand, policy, NOW)
    assert ([*cluster.all()], dict(cluster.servers), dict(cluster.models), demand, set(cluster.loading)) == before
