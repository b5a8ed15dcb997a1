"""The planner, branch by branch of its tree."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from cluster.logic.decision import Plan
from cluster.logic.lifecycle import PlacementState
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState, Demand, PlanPolicy
from tests.logic.cluster.views import LONG_AGO, NOW, POLICY, ago, away, disabled, model, offer, placed, server, state, wants

LOADING, UNLOADING = PlacementState.LOADING, PlacementState.UNLOADING


def decided(cluster: ClusterState, *demand: Demand, policy: PlanPolicy = POLICY) -> Plan:
    return plan(cluster, demand, policy, NOW)


def seats(decision: Plan) -> dict[int, int]:
    return {s.placement_id: s.n for s in decision.seats}


def loads(decision: Plan) -> dict[int, tuple[int, ...]]:
    """Server → what must go."""
    return {load.server_id: load.evict for load in decision.loads}


# --- step 1: impossible ------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Hopeless:
    cluster: ClusterState
    says: str
    demand: Demand = field(default_factory=wants)


HOPELESS = {
    "no server at all": Hopeless(cluster=state([], [model()]), says="No server is enabled"),
    "all disabled": Hopeless(cluster=state([disabled(1)], [model()]), says="No server is enabled"),
    "nobody has it": Hopeless(cluster=state([server(1), server(2)], [model()], offers=[]), says="Download it on one of mac-1, mac-2"),
    "pinned to a disabled server": Hopeless(
        cluster=state([disabled(1), server(2)], [model()]), demand=wants(pin_id=1), says="may only run on mac-1, which is disabled"
    ),
    "pinned to a server that was deleted": Hopeless(
        cluster=state([server(2)], [model()]), demand=wants(pin_id=9), says="may only run on a server that is gone"
    ),
    "pinned to a server without it": Hopeless(
        cluster=state([server(1), server(2)], [model()], offers=[offer(2)]), demand=wants(pin_id=1), says="on no server where it may run"
    ),
    "pinned to a server without it, while another is away": Hopeless(
        cluster=state([server(1), away(2)], [model()], offers=[]), demand=wants(pin_id=1), says="No server has the model"
    ),
    "wrong format everywhere": Hopeless(
        cluster=state([server(1, formats=("GGUF",))], [model()], offers=[offer(format="mlx")]), says="on no server where it may run"
    ),
    "too large for the largest": Hopeless(
        cluster=state([server(1, budget_gb=10), server(2, budget_gb=15)], [model(need_gb=40)]),
        says="needs 40.0 GB, and mac-2, the largest server that has it, can give 15.0 GB",
    ),
}


@pytest.mark.parametrize("case", HOPELESS.values(), ids=HOPELESS.keys())
def test_what_no_server_could_ever_do_is_impossible_and_says_why(case: Hopeless) -> None:
    decision = decided(case.cluster, case.demand)
    assert [(i.model_id, i.pin_id) for i in decision.impossible] == [(1, case.demand.pin_id)]
    assert case.says in decision.impossible[0].why
    assert not decision.seats
    assert not decision.loads
    assert not decision.waits


PATIENT = {
    "the only server was not seen yet": state([away(1)], [model()], offers=[]),
    "another server was not seen yet": state([server(1), away(2)], [model()], offers=[]),
    "one that has it is disabled, another was not seen yet": state([disabled(1), away(2)], [model()], offers=[offer(1)]),
    "one is too small, another was not seen yet": state([server(1, budget_gb=5), away(2)], [model()], offers=[offer(1)]),
    "the server that has it is away": state([away(1)], [model()]),
}


@pytest.mark.parametrize("cluster", PATIENT.values(), ids=PATIENT.keys())
def test_what_a_server_may_still_do_when_it_is_there_waits(cluster: ClusterState) -> None:
    decision = decided(cluster, wants())
    assert not decision.impossible
    assert [w.model_id for w in decision.waits] == [1]


def test_a_model_in_memory_is_possible_even_if_its_size_says_no() -> None:
    decision = decided(state([server(1, budget_gb=5)], [model(need_gb=50)], [placed(1)]), wants())
    assert seats(decision) == {1: 1}


# --- step 2: seats -----------------------------------------------------------------------------------------------
def test_a_warm_placement_with_a_free_slot_gets_the_seat_and_says_so() -> None:
    decision = decided(state([server(1), server(2)], [model()], [placed(1, server_id=2)]), wants())
    (given,) = decision.seats
    assert (given.placement_id, given.server_id, given.n) == (1, 2, 1)
    assert given.why == "warm on mac-2 with a free slot; best of 1 by expected-time"
    assert [(c.server, c.expected_s, c.in_flight) for c in given.candidates] == [("mac-2", 4.0, 0)]  # little known: hopeful


def test_seats_are_shared_out_one_at_a_time_to_the_best() -> None:
    warm = [placed(1, 1), placed(2, 2, in_flight=2)]
    assert seats(decided(state([server(1), server(2)], [model()], warm), wants(waiting=4))) == {1: 3, 2: 1}


def test_round_robin_takes_turns_within_one_plan_too() -> None:
    warm = [placed(1, 1, used_at=ago(9)), placed(2, 2, used_at=ago(5))]
    policy = PlanPolicy(strategy="round-robin")
    assert seats(decided(state([server(1), server(2)], [model()], warm), wants(waiting=4), policy=policy)) == {1: 2, 2: 2}


def test_no_slot_is_given_twice_in_one_plan() -> None:
    decision = decided(state([server(1)], [model()], [placed(1, in_flight=3)]), wants(waiting=1, priority=10), wants(waiting=5, pin_id=1))
    assert sum(s.n for s in decision.seats) == 1
    assert [(s.pin_id, s.n) for s in decision.seats] == [(None, 1)]


NO_SEAT = {
    "loading": (server(1), placed(1, state=LOADING)),
    "unloading": (server(1), placed(1, state=UNLOADING)),
    "full": (server(1), placed(1, in_flight=4)),
    "overfull": (server(1), placed(1, slots=1, in_flight=3)),
    "its server is away": (away(1), placed(1)),
    "its server is draining": (server(1, well=False, usable=False, why_not="is draining"), placed(1)),
}


@pytest.mark.parametrize(("host", "place"), NO_SEAT.values(), ids=NO_SEAT.keys())
def test_no_seat_is_given(host: Any, place: Any) -> None:
    assert not decided(state([host], [model()], [place]), wants()).seats


def test_a_pin_is_kept() -> None:
    cluster = state([server(1), server(2)], [model()], [placed(1, 1), placed(2, 2)])
    assert seats(decided(cluster, wants(waiting=3, pin_id=2))) == {2: 3}


def test_the_more_urgent_gets_the_last_slot() -> None:
    cluster = state([server(1)], [model()], [placed(1, in_flight=3)])
    for demand in ([wants(priority=5, pin_id=1), wants(priority=50)], [wants(priority=50), wants(priority=5, pin_id=1)]):
        assert [s.pin_id for s in decided(cluster, *demand).seats] == [1]


def test_of_equal_priority_the_older_goes_first() -> None:
    cluster = state([server(1)], [model()], [placed(1, in_flight=3)])
    assert [s.pin_id for s in decided(cluster, wants(oldest=ago(5)), wants(oldest=ago(90), pin_id=1)).seats] == [1]


def test_who_failed_on_a_server_gets_the_other_warm_one() -> None:
    fast, slow = offer(1, answer_s=1.0), offer(2, answer_s=30.0)
    cluster = state([server(1), server(2)], [model()], [placed(1, 1), placed(2, 2)], [fast, slow])
    assert seats(decided(cluster, wants(avoid_id=1))) == {2: 1}
    assert seats(decided(cluster, wants())) == {1: 1}


def test_who_failed_on_the_only_warm_server_gets_it_again() -> None:
    cluster = state([server(1), away(2)], [model()], [placed(1, 1), placed(2, 2)])
    assert seats(decided(cluster, wants(avoid_id=1))) == {1: 1}
    assert seats(decided(state([server(1), server(2)], [model()], [placed(1, 1), placed(2, 2)]), wants(avoid_id=1, pin_id=1))) == {1: 1}


def test_a_strategy_that_nobody_registered_is_a_loud_mistake() -> None:
    with pytest.raises(KeyError):
        decided(state([server(1)], [model()], [placed(1)]), wants(), policy=PlanPolicy(strategy="luck"))


# --- steps 3 and 4: wait for what comes --------------------------------------------------------------------------
def test_what_is_loading_is_not_loaded_again() -> None:
    decision = decided(state([server(1), server(2)], [model()], [placed(1, state=LOADING)]), wants(waiting=50))
    assert not decision.loads
    assert [w.why for w in decision.waits] == ["maker/model-1 is loading on mac-1"]


def test_a_load_on_a_server_that_died_is_not_waited_for() -> None:
    decision = decided(state([away(1), server(2)], [model()], [placed(1, state=LOADING)]), wants())
    assert loads(decision) == {2: ()}


def test_a_load_for_one_demand_serves_the_others_of_its_model() -> None:
    cluster = state([server(1), server(2), server(3)], [model()])
    decision = decided(cluster, wants(pin_id=2, priority=1), wants(priority=50), wants(priority=60, avoid_id=3))
    assert loads(decision) == {2: ()}
    assert [w.why for w in decision.waits] == ["maker/model-1 is loading on mac-2"]


def test_warm_and_full_waits_for_a_slot() -> None:
    decision = decided(state([server(1), server(2)], [model()], [placed(1, in_flight=4)]), wants())
    assert not decision.loads
    assert [w.why for w in decision.waits] == ["maker/model-1 is loaded, and all its slots are taken: waiting is cheaper than another copy"]


def test_more_waiting_than_slots_gives_all_slots_and_waits_for_the_rest() -> None:
    decision = decided(state([server(1), server(2)], [model()], [placed(1)]), wants(waiting=9))
    assert seats(decision) == {1: 4}
    assert not decision.loads
    assert len(decision.waits) == 1


def test_room_that_is_being_made_is_waited_for() -> None:
    cluster = state([server(1, budget_gb=30)], [model(1), model(2)], [placed(1, 1, 2, state=UNLOADING)])
    assert [w.why for w in decided(cluster, wants(1)).waits] == ["room for maker/model-1 is being made on mac-1"]


def test_a_place_among_the_most_models_that_is_being_made_is_waited_for() -> None:
    held = [placed(1, 1, 2, state=UNLOADING), placed(2, 1, 3)]
    decision = decided(state([server(1, max_models=2)], [model(1), model(2), model(3)], held), wants(1))
    assert not decision.loads
    assert [w.why for w in decision.waits] == ["room for maker/model-1 is being made on mac-1"]


def test_room_that_is_being_made_counts_when_more_has_to_go() -> None:
    held = [placed(1, 1, 2, state=UNLOADING), placed(2, 1, 3, used_at=ago(100)), placed(3, 1, 4, used_at=ago(50))]
    cluster = state([server(1, budget_gb=62)], [model(1, need_gb=40), model(2), model(3), model(4)], held)
    assert loads(decided(cluster, wants(1))) == {1: (2,)}


# --- step 5: room ------------------------------------------------------------------------------------------------
def test_a_server_with_room_loads_it() -> None:
    decision = decided(state([server(1)], [model()]), wants(waiting=7))
    (load,) = decision.loads
    assert (load.model_id, load.server_id, load.gb, load.evict) == (1, 1, 20.0, ())
    assert load.why == "mac-1 has room (80.0 GB free) and is best of 1 by expected-time"
    assert load.scores["gain"] > load.scores["bar"] >= load.scores["cost"] == 0


WHERE: dict[str, tuple[list[Any], list[Any], int]] = {
    "the quicker loader": ([server(1), server(2)], [offer(1, load_s=60), offer(2, load_s=9)], 2),
    "the heavier": ([server(1), server(2, weight=2.0)], [offer(1), offer(2)], 2),
    "the preferring, though slower": (
        [server(1), server(2, preferred=("maker/model-1",))],
        [offer(1, load_s=1), offer(2, load_s=90)],
        2,
    ),
    "preferring any model before none": ([server(1), server(2, preferred=("*",))], [offer(1), offer(2)], 2),
    "preferring this before any": ([server(1, preferred=("*",)), server(2, preferred=("maker/model-1",))], [offer(1), offer(2)], 2),
    "the tightest gap, for larger models need the other": ([server(1, budget_gb=70), server(2, budget_gb=60)], [offer(1), offer(2)], 2),
    "the first of equals": ([server(2), server(1)], [offer(2), offer(1)], 1),
    "not the one that is away": ([away(1), server(2)], [offer(1), offer(2)], 2),
    "not the disabled": ([disabled(1), server(2)], [offer(1), offer(2)], 2),
    "not the one without it": ([server(1), server(2)], [offer(2)], 2),
    "not the one of another format": ([server(1, formats=("MLX",)), server(2, formats=("gguf",))], [offer(1, format="gguf"), offer(2, format="GGUF")], 2),
    "not the one that failed lately": (
        [server(1), server(2)],
        [offer(1, cooldown_until=NOW + 9, cooldown_reason="no memory"), offer(2)],
        2,
    ),
    "again the one that failed long ago": (
        [server(1), server(2, weight=0.5)],
        [offer(1, cooldown_until=NOW, cooldown_reason="no memory"), offer(2)],
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("servers", "offers", "chosen"), WHERE.values(), ids=WHERE.keys())
def test_the_server_that_loads_is(servers: Any, offers: Any, chosen: int) -> None:
    assert loads(decided(state(servers, [model()], offers=offers), wants())) == {chosen: ()}


def test_one_server_loads_one_model_at_a_time() -> None:
    cluster = state([server(1)], [model(1), model(2)])
    decision = decided(cluster, wants(1, priority=1), wants(2, priority=2))
    assert [load.model_id for load in decision.loads] == [1]
    assert [w.why for w in decision.waits] == ["mac-1 is loading another model"]
    busy = state([server(1)], [model(1), model(2)], [placed(1, 1, 2, state=LOADING)])
    assert not decided(busy, wants(1)).loads


def test_two_models_load_on_two_servers_at_once() -> None:
    decision = decided(state([server(1), server(2)], [model(1), model(2)]), wants(1, priority=1), wants(2, priority=2))
    assert {load.model_id: load.server_id for load in decision.loads} == {1: 1, 2: 2}


def test_a_cool_down_is_waited_for_and_says_what_failed() -> None:
    until = NOW + 40
    resting = [offer(1, cooldown_until=until, cooldown_reason="no memory")]
    (wait,) = decided(state([server(1)], [model()], offers=resting), wants()).waits
    assert (wait.until, wait.why) == (until, "mac-1 failed to load it: no memory")


# --- step 6: eviction --------------------------------------------------------------------------------------------
def test_an_idle_model_goes_for_another_one() -> None:
    (load,) = decided(state([server(1, budget_gb=30)], [model(1), model(2)], [placed(1, 1, 2)]), wants(1)).loads
    assert load.evict == (1,)
    assert load.why == "room on mac-1 by letting go maker/model-2 (idle, and least missed)"


STAYS = {
    "busy": placed(1, 1, 2, in_flight=1),
    "pinned": placed(1, 1, 2, pinned=True),
    "just loaded": placed(1, 1, 2, since=ago(1)),
    "too small to help": placed(1, 1, 2, gb=3.0),
}


@pytest.mark.parametrize("place", STAYS.values(), ids=STAYS.keys())
def test_nothing_is_evicted_that_is(place: Any) -> None:
    others = [placed(2, 1, 3, gb=25.0, in_flight=1)] if place.gb < 20 else []
    decision = decided(state([server(1, budget_gb=30)], [model(1), model(2), model(3)], [place, *others]), wants(1))
    assert not decision.loads
    assert "what could make room is busy, pinned, or just loaded" in decision.waits[0].why


def test_the_end_of_the_residency_is_waited_for() -> None:
    decision = decided(state([server(1, budget_gb=30)], [model(1), model(2)], [placed(1, 1, 2, since=ago(1))]), wants(1))
    assert decision.waits[0].until == NOW + 1


def test_a_model_that_somebody_more_urgent_waits_for_is_not_evicted_for_another() -> None:
    cluster = state([server(1, budget_gb=30)], [model(1), model(2)], [placed(1, 1, 2, slots=1)])
    decision = decided(cluster, wants(1, priority=2), wants(2, waiting=3, priority=1))
    assert not decision.loads
    assert seats(decision) == {1: 1}


def test_ready_work_overtakes_work_that_waits_for_a_load() -> None:
    cluster = state([server(1, budget_gb=30)], [model(1), model(2)], [placed(1, 1, 2, slots=1)])
    decision = decided(cluster, wants(1, priority=1), wants(2, waiting=3, priority=2))
    assert seats(decision) == {1: 1}
    assert not decision.loads


def test_a_model_that_is_wanted_on_another_server_only_may_go() -> None:
    cluster = state([server(1, budget_gb=30), away(2)], [model(1), model(2)], [placed(1, 1, 2)], [offer(1, 1), offer(1, 2), offer(2, 2)])
    decision = decided(cluster, wants(1), wants(2, pin_id=2))
    assert loads(decision) == {1: (1,)}


def test_room_is_preferred_to_eviction() -> None:
    cluster = state([server(1, budget_gb=30), server(2, budget_gb=30, weight=0.1)], [model(1), model(2)], [placed(1, 1, 2)])
    assert loads(decided(cluster, wants(1))) == {2: ()}


def test_server_and_victims_are_chosen_together_the_long_unused_first() -> None:
    held = [placed(1, 1, 2, used_at=ago(100)), placed(2, 2, 3, used_at=ago(1000))]
    cluster = state([server(1, budget_gb=30), server(2, budget_gb=30)], [model(1), model(2), model(3)], held)
    assert loads(decided(cluster, wants(1))) == {2: (2,)}


def test_the_cheaper_eviction_wins() -> None:
    held = [placed(1, 1, 2, gb=28.0, used_at=ago(100)), placed(2, 2, 3, gb=15.0, used_at=ago(90))]
    cluster = state([server(1, budget_gb=30), server(2, budget_gb=30)], [model(1), model(2), model(3)], held)
    assert loads(decided(cluster, wants(1))) == {2: (2,)}


def test_the_most_models_of_a_server_are_kept_by_eviction() -> None:
    held = [placed(1, 1, 2, gb=1.0, used_at=ago(9)), placed(2, 1, 3, gb=1.0, used_at=ago(99))]
    cluster = state([server(1, max_models=2)], [model(1), model(2), model(3)], held)
    assert loads(decided(cluster, wants(1))) == {1: (2,)}


# --- step 7 and the models nobody uses ---------------------------------------------------------------------------
def test_when_nothing_can_be_done_the_wait_names_every_reason() -> None:
    held = [placed(1, 1, 2, in_flight=1), placed(2, 2, 3, state=LOADING)]
    servers = [server(1, budget_gb=30), server(2), away(3)]
    (wait,) = decided(state(servers, [model(1), model(2), model(3)], held), wants(1)).waits
    assert wait.why == (
        "mac-1: what could make room is busy, pinned, or just loaded; mac-2 is loading another model; mac-3 is offline (refused)"
    )


UNUSED = {
    "unused for the delay": (placed(1), server(1), True),
    "used lately": (placed(1, used_at=ago(10)), server(1), False),
    "busy": (placed(1, in_flight=1), server(1), False),
    "pinned": (placed(1, pinned=True), server(1), False),
    "already leaving": (placed(1, state=UNLOADING), server(1), False),
    "on a server that is away": (placed(1), away(1), False),
}


@pytest.mark.parametrize(("place", "host", "goes"), UNUSED.values(), ids=UNUSED.keys())
def test_without_keeping_models_an_unused_one_goes(place: Any, host: Any, goes: bool) -> None:
    cluster = state([host], [model()], [place])
    assert bool(decided(cluster, policy=PlanPolicy(keep_models_loaded=False)).unloads) is goes
    assert not decided(cluster).unloads


def test_a_wanted_model_is_not_let_go_for_being_unused() -> None:
    cluster = state([server(1)], [model()], [placed(1, used_at=LONG_AGO)])
    decision = decided(cluster, wants(), policy=PlanPolicy(keep_models_loaded=False))
    assert seats(decision) == {1: 1}
    assert not decision.unloads


def test_no_demand_no_plan() -> None:
    assert decided(state([server(1)], [model()], [placed(1)])) == Plan()


# --- what a load is worth ----------------------------------------------------------------------------------------
def full(server_id: int, **over: Any) -> Any:
    return placed(server_id, server_id, 1, in_flight=4, **over)


def test_one_more_copy_is_loaded_when_the_queue_outlasts_its_load() -> None:
    cluster = state([server(1), server(2)], [model()], [full(1)])
    assert not decided(cluster, wants(waiting=10)).loads
    (load,) = decided(cluster, wants(waiting=200)).loads
    assert (load.server_id, load.evict) == (2, ())
    assert load.why.startswith("one more copy, mac-2 has room")


def test_one_more_copy_is_loaded_for_work_that_will_not_end() -> None:
    busy = model(rate=2.0, answer_s=5.0)  # ten answers at once for ever, and four slots
    assert loads(decided(state([server(1), server(2)], [busy], [full(1)]), wants(waiting=1))) == {2: ()}


def test_a_second_copy_never_comes_to_where_the_first_is() -> None:
    assert not decided(state([server(1)], [model(rate=9.0)], [full(1)]), wants(waiting=900)).loads


def test_a_model_in_demand_stays_until_the_other_has_gathered_more() -> None:
    held = [placed(1, 1, 2, used_at=ago(1))]
    cluster = state([server(1, budget_gb=30, gb_per_s=2.0)], [model(1), model(2, rate=0.05)], held, disk=0.5)
    (wait,) = decided(cluster, wants(1)).waits
    assert "waiting is cheaper than a load that displaces others" in wait.why
    late = decided(cluster, wants(1, waiting=9, oldest=ago(110)))
    assert loads(late) == {1: (1,)}
    assert late.loads[0].scores["gain"] > late.loads[0].scores["bar"] > late.loads[0].scores["cost"] > 0


def test_an_idle_cluster_loads_at_once_what_a_busy_one_gathers_requests_for() -> None:
    held = [placed(1, 1, 2)]
    for disk, at_once in ((0.0, True), (0.5, False)):
        models = [model(1), model(2, rate=0.01), model(3, rate=2.0)]
        cluster = state([server(1, budget_gb=30)], models, held, disk=disk)
        assert bool(decided(cluster, wants(1)).loads) is at_once


def test_nothing_is_loaded_for_those_who_will_have_gone_by_then() -> None:
    slow = state([server(1)], [model(need_gb=40)], offers=[offer(load_s=90.0)])
    (wait,) = decided(slow, wants(oldest=ago(60), deadline=NOW + 60)).waits
    assert "would be loaded too late for those who wait (90 s)" in wait.why
    assert decided(slow, wants(oldest=ago(60), deadline=NOW + 100)).loads


def test_the_victims_are_those_that_will_be_missed_least() -> None:
    held = [placed(1, 1, 2, used_at=ago(1)), placed(2, 1, 3, used_at=ago(900))]
    cluster = state([server(1, budget_gb=45)], [model(1), model(2, rate=0.001), model(3, rate=0.02)], held)
    assert loads(decided(cluster, wants(1))) == {1: (1,)}


def test_what_was_loaded_for_somebody_serves_them_before_it_goes() -> None:
    owing = placed(1, 1, 2, served=False, slots=1, in_flight=0, since=ago(30))
    cluster = state([server(1, budget_gb=30)], [model(1), model(2)], [owing])
    decision = plan(cluster, [wants(1), wants(2)], POLICY, NOW, capacity=0)
    assert not decision.loads


def test_only_so_many_seats_are_given_as_the_engine_can_carry() -> None:
    decision = plan(state([server(1)], [model()], [placed(1)]), [wants(waiting=9)], POLICY, NOW, capacity=2)
    assert seats(decision) == {1: 2}
    assert "the engine has its hands full" in decision.waits[0].why


def test_where_loads_are_quick_less_is_made_of_them() -> None:
    held = [placed(1, 1, 2, used_at=ago(1))]
    for speed, at_once in ((2.0, False), (100.0, True)):
        cluster = state([server(1, budget_gb=30, gb_per_s=speed)], [model(1), model(2, rate=0.1)], held)
        assert bool(decided(cluster, wants(1, waiting=4)).loads) is at_once


def test_what_nobody_has_asked_for_since_is_believed_to_be_over() -> None:
    for used, goes in ((ago(2), False), (ago(150), True)):
        cluster = state([server(1, budget_gb=30, gb_per_s=2.0)], [model(1), model(2, rate=1.0)], [placed(1, 1, 2, used_at=used)])
        assert bool(decided(cluster, wants(1, waiting=4)).loads) is goes


# --- regions -----------------------------------------------------------------------------------------------------
def test_near_servers_come_first_and_far_ones_are_the_reserve() -> None:
    cluster = state([server(1, far=True), server(2)], [model()], [placed(1, 1), placed(2, 2, in_flight=3)])
    assert seats(decided(cluster, wants(waiting=3))) == {1: 2, 2: 1}
    assert loads(decided(state([server(1, far=True), server(2)], [model()]), wants())) == {2: ()}
    assert loads(decided(state([server(1, far=True), away(2)], [model()]), wants())) == {1: ()}


# --- nobody waits for ever ---------------------------------------------------------------------------------------
def test_busy_models_run_empty_for_somebody_who_is_overdue() -> None:
    busy = [placed(1, 1, 2, in_flight=2, used_at=NOW)]
    cluster = state([server(1, budget_gb=30)], [model(1), model(2, rate=5.0)], busy, disk=1.0)
    patient = decided(cluster, wants(1, oldest=ago(299)), wants(2, waiting=50))
    assert seats(patient) == {1: 2}
    overdue = decided(cluster, wants(1, oldest=ago(301)), wants(2, waiting=50))
    assert not overdue.seats
    assert not overdue.loads
    assert "gets nothing more and leaves when it has finished" in overdue.waits[0].why
    idle = state([server(1, budget_gb=30)], [model(1), model(2, rate=5.0)], [placed(1, 1, 2, used_at=NOW)], disk=1.0)
    assert loads(decided(idle, wants(1, oldest=ago(301)), wants(2, waiting=50))) == {1: (1,)}


def test_what_was_just_loaded_for_one_overdue_demand_does_not_make_way_for_the_next() -> None:
    young = [placed(1, 1, 2, in_flight=2, since=ago(10))]
    cluster = state([server(1, budget_gb=30)], [model(1), model(2)], young)
    decision = decided(cluster, wants(1, oldest=ago(900)), wants(2, waiting=50, oldest=ago(800)))
    assert seats(decision) == {1: 2}


# --- what comes before anybody asks, and what leaves without need ------------------------------------------------
def test_what_is_likely_to_be_asked_for_is_loaded_into_room_that_nobody_needs() -> None:
    likely, unlikely = model(1, rate=0.01), model(2, rate=0.0001)
    (load,) = decided(state([server(1)], [likely, unlikely])).loads
    assert (load.model_id, load.preload, load.caller) == (1, True, "")
    assert not decided(state([server(1)], [likely]), policy=PlanPolicy(preload=False)).loads


def test_a_guess_evicts_nothing_and_waits_for_everybody_who_really_asks() -> None:
    held = [placed(1, 1, 2)]
    assert not decided(state([server(1, budget_gb=30)], [model(1, rate=1.0), model(2)], held)).loads
    cluster = state([server(1), away(2)], [model(1, rate=1.0), model(2)], offers=[offer(1, 1), offer(2, 2)])
    assert not decided(cluster, wants(2)).loads


def test_a_model_that_is_to_stay_on_a_server_is_loaded_there_when_there_is_room() -> None:
    cluster = state([server(1), server(2)], [model()], offers=[offer(1), offer(2, keep=True)])
    assert loads(decided(cluster)) == {2: ()}
    assert not decided(state([server(2)], [model()], [placed(1, 2)], offers=[offer(2, keep=True)])).loads


def test_one_copy_too_many_leaves_when_it_is_unused() -> None:
    twice = [placed(1, 1), placed(2, 2, used_at=ago(10))]
    assert [u.placement_id for u in decided(state([server(1), server(2)], [model()], twice)).unloads] == [1]
    assert not decided(state([server(1), server(2)], [model(rate=2.0)], twice)).unloads


def test_one_that_was_told_to_and_a_replaced_version_leave_when_idle() -> None:
    assert [u.placement_id for u in decided(state([server(1)], [model()], [placed(1), placed(2, dismissed=True)])).unloads] == [2]
    versions = [model(1, successor_id=2), model(2)]
    held = [placed(1, 1, 1), placed(2, 1, 2)]
    assert [u.placement_id for u in decided(state([server(1)], versions, held)).unloads] == [1]
    assert not decided(state([server(1)], versions, [placed(1, 1, 1), placed(2, 1, 2, state=LOADING)])).unloads
    assert not decided(state([server(1)], versions, [placed(1, 1, 1, in_flight=1), placed(2, 1, 2)])).unloads
