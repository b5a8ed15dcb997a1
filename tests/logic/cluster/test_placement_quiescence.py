"""Plans carried out one after the other come to an end: everybody is served, and nothing goes round in circles."""

from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cluster.logic.balancing import STRATEGIES
from cluster.logic.learning import busy
from cluster.logic.lifecycle import PlacementState
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState, Demand, ModelView, OfferView, PlacementView, PlanPolicy, ServerView

ANSWER_S, STEP_S = 5.0, 1.0


@dataclass
class Waiting:
    model_id: int
    pin_id: int | None
    since: float


@dataclass
class World:
    """Servers that do as planned, one second at a time: a load takes GB ÷ speed, an answer five seconds, an unload no time."""

    state: ClusterState
    policy: PlanPolicy
    queue: list[Waiting]
    now: float = 1000.0
    ready: dict[int, float] = field(default_factory=dict)
    """When a placement will be loaded."""
    ends: list[tuple[float, PlacementView]] = field(default_factory=list)
    served: list[Waiting] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    mute: int = 0
    """A model that never answers."""
    loads: int = 0
    loading_s: float = 0.0
    next_id: int = 1

    def demand(self) -> list[Demand]:
        groups: dict[tuple[int, int | None], list[Waiting]] = {}
        for one in self.queue:
            groups.setdefault((one.model_id, one.pin_id), []).append(one)
        return [
            Demand(model_id=m, pin_id=pin, waiting=len(some), turn=min(w.since for w in some), oldest=min(w.since for w in some))
            for (m, pin), some in groups.items()
        ]

    def step(self) -> None:
        self.state.disk = busy(self.loading_s, len(self.state.servers), max(30.0, self.now - 1000))
        decision = plan(self.state, self.demand(), self.policy, self.now)
        places = {p.id: p for p in self.state.all()}
        for seat in decision.seats:
            place = places[seat.placement_id]
            mine = [w for w in self.queue if (w.model_id, w.pin_id) == (seat.model_id, seat.pin_id)][: seat.n]
            assert len(mine) == seat.n
            for one in mine:
                self.queue.remove(one)
                self.served.append(one)
                self.waited.append(self.now - one.since)
                place.in_flight += 1
                self.ends.append((self.now + ANSWER_S, place))
            place.used_at = self.now
            assert place.in_flight <= place.slots
        for gone in (*(pid for load in decision.loads for pid in load.evict), *(u.placement_id for u in decision.unloads)):
            assert places[gone].in_flight == 0
            self.state.remove(places[gone])
        for load in decision.loads:
            server = self.state.servers[load.server_id]
            seconds = load.gb / server.gb_per_s
            place = PlacementView(
                id=self.next_id,
                server_id=server.id,
                model_id=load.model_id,
                state=PlacementState.LOADING,
                gb=load.gb,
                slots=self.state.models[load.model_id].slots,
                since=self.now,
                served=False,
            )
            self.next_id += 1
            self.loads += 1
            self.loading_s += seconds
            self.ready[place.id] = self.now + seconds
            self.state.add(place)
        for server in self.state.servers.values():
            assert sum(p.gb for p in self.state.by_server[server.id]) <= server.budget_gb + 1e-6
            assert sum(p.state is PlacementState.LOADING for p in self.state.by_server[server.id]) <= 1
        self.pass_time()

    def pass_time(self) -> None:
        self.now += STEP_S
        for place in list(self.state.all()):
            if place.state is PlacementState.LOADING and self.ready[place.id] <= self.now:
                place.state, place.since = PlacementState.LOADED, self.now
                self.state.settle(place.server_id)
        for _, place in [e for e in self.ends if e[0] <= self.now]:
            place.in_flight -= 1
            place.served = place.model_id != self.mute
        self.ends = [e for e in self.ends if e[0] > self.now]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A cluster that is empty, in which every request can be served by somebody."""
    budgets = draw(st.lists(st.sampled_from([24.0, 40.0, 60.0]), min_size=1, max_size=3))
    servers = [ServerView(id=i, name=f"mac-{i}", budget_gb=gb, gb_per_s=2.0) for i, gb in enumerate(budgets, 1)]
    sizes = draw(st.lists(st.sampled_from([4.0, 9.0, 20.0, 24.0]), min_size=1, max_size=5))
    models = {
        i: ModelView(id=i, key=f"m{i}", need_gb=gb, slots=draw(st.integers(1, 3)), rate=draw(st.sampled_from([0.0, 0.02, 1.0])))
        for i, gb in enumerate(sizes, 1)
    }
    queue = [
        Waiting(
            model_id=draw(st.sampled_from(sorted(models))),
            pin_id=draw(st.sampled_from([None, None, 1])),
            since=1000.0 - draw(st.integers(0, 50)),
        )
        for _ in range(draw(st.integers(1, 40)))
    ]
    policy = PlanPolicy(
        strategy=draw(st.sampled_from(sorted(STRATEGIES))), overdue_s=draw(st.sampled_from([60.0, 300.0])), preload=draw(st.booleans())
    )
    offers = [OfferView(server_id=s.id, model_id=m) for s in servers for m in models]
    return World(state=ClusterState(servers, models, [], offers), policy=policy, queue=queue)


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_every_request_is_served_and_loading_comes_to_an_end(world: World) -> None:
    asked = len(world.queue)
    kinds = len({(w.model_id, w.pin_id) for w in world.queue})
    for _ in range(1500):
        if not world.queue:
            break
        world.step()
    assert not world.queue, "somebody waits for ever"
    assert len(world.served) == asked
    event(f"loads per kind of request: {world.loads // kinds}")
    before = world.loads
    for _ in range(60):
        world.step()
    assert world.loads - before <= len(world.state.models), "it loads although nobody waits"
    assert world.loads <= 6 * kinds + len(world.state.models) * len(world.state.servers), "models go to and fro"


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(STRATEGIES)), st.integers(1, 3), st.integers(0, 10))
def test_one_model_that_is_asked_for_without_pause_keeps_no_other_out(strategy: str, slots: int, offset: int) -> None:
    servers = [ServerView(id=1, name="mac-1", budget_gb=24.0, gb_per_s=2.0)]
    models = {
        1: ModelView(id=1, key="busy", need_gb=20.0, slots=slots, rate=3.0),
        2: ModelView(id=2, key="rare", need_gb=20.0, slots=slots),
    }
    offers = [OfferView(server_id=1, model_id=m) for m in models]
    policy = PlanPolicy(strategy=strategy, overdue_s=120.0)
    world = World(state=ClusterState(servers, models, [], offers), policy=policy, queue=[])
    for second in range(600):
        world.queue.extend(Waiting(model_id=1, pin_id=None, since=world.now) for _ in range(slots))
        if second == 20 + offset:
            world.queue.append(Waiting(model_id=2, pin_id=None, since=world.now))
        world.step()
        if any(w.model_id == 2 for w in world.served):
            break
    waited = world.now - next(w.since for w in world.served if w.model_id == 2)
    assert waited <= policy.overdue_s + 2 * ANSWER_S + 3 * 20.0 / 2.0 + 3 * STEP_S


def alone(gb: float, *models: ModelView, policy: PlanPolicy) -> World:
    """One server that loads two GB a second, and everything on its disk."""
    servers = [ServerView(id=1, name="mac-1", budget_gb=gb, gb_per_s=2.0)]
    offers = [OfferView(server_id=1, model_id=one.id) for one in models]
    return World(state=ClusterState(servers, {one.id: one for one in models}, [], offers), policy=policy, queue=[])


@pytest.mark.parametrize("every_s", [1, 2, 7])
def test_a_model_that_never_answers_keeps_no_other_out(every_s: int) -> None:
    broken, sound = ModelView(id=1, key="broken", need_gb=20.0, slots=2, rate=1 / every_s), ModelView(id=2, key="sound", need_gb=20.0)
    world = alone(24.0, broken, sound, policy=PlanPolicy(overdue_s=120.0))
    world.mute = 1
    for second in range(400):
        if second % every_s == 0:
            world.queue.append(Waiting(model_id=1, pin_id=None, since=world.now))
        if second == 30:
            world.queue.append(Waiting(model_id=2, pin_id=None, since=world.now))
        world.step()
        if any(w.model_id == 2 for w in world.served):
            break
    waited = next(waited for waited, one in zip(world.waited, world.served, strict=True) if one.model_id == 2)
    assert waited <= world.policy.overdue_s + 2 * ANSWER_S + 20.0 / 2.0 + 3 * STEP_S


@pytest.mark.parametrize("pause_s", [150, 300, 900])
def test_somebody_with_one_machine_and_three_big_models_in_turn_waits_for_the_load_and_for_nothing_else(pause_s: int) -> None:
    models = [ModelView(id=i, key=f"big-{i}", need_gb=45.0, slots=4, rate=1 / (3 * pause_s)) for i in (1, 2, 3)]
    world = alone(86.0, *models, policy=PlanPolicy(preload=False))
    for second in range(12 * pause_s):
        if second % pause_s == 0:
            world.queue.append(Waiting(model_id=second // pause_s % 3 + 1, pin_id=None, since=world.now))
        world.step()
    assert len(world.waited) == 12
    assert max(world.waited) <= 45.0 / 2.0 + 10 * STEP_S
