"""The planner where it could go wrong: servers that are gone, models that never answer, deadlines of some, many who wait."""

import pytest

from cluster.logic.board import Board
from cluster.logic.decision import Plan
from cluster.logic.lifecycle import PlacementState
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState, Demand, PlanPolicy
from cluster.logic.value import KNOBS, TOP, crowd, worth
from tests.logic.cluster.views import NOW, POLICY, ago, away, model, offer, placed, server, state, wants

UNLOADING = PlacementState.UNLOADING


def decided(cluster: ClusterState, *demand: Demand, policy: PlanPolicy = POLICY) -> Plan:
    return plan(cluster, demand, policy, NOW)


def loads(decision: Plan) -> dict[int, tuple[int, ...]]:
    """Model → what must go."""
    return {load.model_id: load.evict for load in decision.loads}


# --- servers that are gone ---------------------------------------------------------------------------------------
def test_a_copy_on_a_server_that_is_away_makes_the_other_one_no_less_worth() -> None:
    popular = model(1, rate=0.1)
    both = [placed(1, 1, 1), placed(2, 2, 1)]
    for host, last in ((server(2), False), (away(2), True)):
        board = Board(state=state([server(1), host], [popular], both), policy=POLICY, now=NOW)
        assert (worth(board, 1, KNOBS) > 1) is last


def test_what_is_only_on_a_server_that_is_away_is_loaded_early_on_another() -> None:
    likely = model(1, rate=0.01)
    assert loads(decided(state([server(1), away(2)], [likely], [placed(1, 2, 1)]))) == {1: ()}
    assert not decided(state([server(1), server(2)], [likely], [placed(1, 2, 1)])).loads
    assert not decided(state([server(1), server(2)], [likely], [placed(1, 2, 1, state=UNLOADING)])).loads


def test_servers_that_are_away_do_not_hide_how_quickly_another_loads() -> None:
    dead = [away(ident) for ident in range(1, 9)]
    quick = [*(offer(ident) for ident in range(1, 9)), offer(9, load_s=5.0)]
    for pin in (None, 9):
        assert decided(state([*dead, server(9)], [model()], offers=quick), wants(pin_id=pin, deadline=NOW + 15)).loads


def test_an_offer_of_a_model_or_of_a_server_that_was_deleted_is_passed_over() -> None:
    stale = [offer(1, 1), offer(1, 7, keep=True), offer(5, 1, keep=True)]
    assert loads(decided(state([server(1)], [model(1)], offers=stale), wants(1))) == {1: ()}


# --- what never answers ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("in_flight", [0, 1])
def test_a_model_that_never_answers_keeps_its_place_for_a_while_only(in_flight: int) -> None:
    for since, stays in ((ago(50), True), (ago(70), False)):
        mute = placed(1, 1, 2, served=False, in_flight=in_flight, since=since)
        cluster = state([server(1, budget_gb=30, gb_per_s=2.0)], [model(1), model(2)], [mute])
        decision = decided(cluster, wants(1, oldest=ago(900)), wants(2, waiting=9, pin_id=1))
        assert any(seat.model_id == 2 for seat in decision.seats) is stays


def test_overdue_waits_for_the_same_model_to_have_left_before_it_is_loaded_there_again() -> None:
    cluster = state([server(1)], [model(1)], [placed(1, 1, 1, state=UNLOADING)])
    decision = decided(cluster, wants(1, oldest=ago(900)))
    assert not decision.loads
    assert [w.why for w in decision.waits] == ["room for maker/model-1 is being made on mac-1"]


@pytest.mark.parametrize("oldest", [ago(1), ago(900)])
def test_room_that_is_there_is_better_than_room_that_is_being_made(oldest: float) -> None:
    leaving = placed(1, 1, 2, gb=25.0, state=UNLOADING)
    cluster = state([server(1, budget_gb=30), server(2)], [model(1), model(2)], [leaving])
    (load,) = decided(cluster, wants(1, oldest=oldest)).loads
    assert (load.server_id, load.evict) == (2, ())


# --- deadlines ---------------------------------------------------------------------------------------------------
IN_TIME: dict[str, tuple[list[Demand], bool]] = {
    "all will be too late": ([wants(waiting=5, deadline=NOW + 10, latest=NOW + 10, timed=5)], False),
    "one of them has no deadline": ([wants(waiting=5, deadline=NOW + 10, latest=NOW + 10, timed=4)], True),
    "one who may use any server has none": (
        [wants(waiting=4, avoid_id=2, deadline=NOW + 10, latest=NOW + 10, timed=4), wants(oldest=ago(3))],
        True,
    ),
    "some have more time": ([wants(waiting=10, deadline=NOW + 10, latest=NOW + 900, timed=10)], True),
    "the last has just too little": ([wants(waiting=10, deadline=NOW + 10, latest=NOW + 40, timed=10)], False),
    "the newest has as much time as the oldest had": ([wants(waiting=10, oldest=ago(50), deadline=NOW + 10)], True),
    "all came now, and have no time at all": ([wants(waiting=2, oldest=NOW, deadline=NOW)], False),
    "one of two who came now has no time at all": ([wants(waiting=2, oldest=NOW, deadline=NOW, latest=NOW, timed=1)], True),
}


@pytest.mark.parametrize(("demand", "loaded"), IN_TIME.values(), ids=IN_TIME.keys())
def test_a_load_is_for_those_who_will_still_be_there(demand: list[Demand], loaded: bool) -> None:
    cluster = state([server(1)], [model()], offers=[offer(1, load_s=40.0)])
    assert bool(decided(cluster, *demand).loads) is loaded


# --- many who wait -----------------------------------------------------------------------------------------------
def test_those_whom_nothing_can_be_done_for_keep_nobody_from_room_that_is_there() -> None:
    crowd = range(1, TOP + 2)
    models = [*(model(i, rate=0.1) for i in crowd), model(50), model(60, need_gb=80, rate=9.0)]
    demand = [*(wants(i, waiting=30) for i in crowd), wants(50)]
    resting = [*(offer(1, i, cooldown_until=NOW + 50, cooldown_reason="bad disk") for i in crowd), offer(2, 50)]
    assert loads(decided(state([server(1), server(2)], models, offers=resting), *demand)) == {50: ()}
    dear = [*(offer(1, i) for i in (*crowd, 60)), offer(2, 50)]
    held = [placed(1, 1, 60, gb=80, used_at=ago(0.1))]
    assert loads(decided(state([server(1), server(2)], models, held, dear), *demand)) == {50: ()}


# --- an idle cluster ---------------------------------------------------------------------------------------------
def test_a_busy_disk_is_dear_only_where_others_would_wait_behind_the_load() -> None:
    held = [placed(1, 1, 2, used_at=ago(60))]
    for rate, at_once in ((0.0, True), (3.0, False)):
        models = [model(1), model(2, rate=0.002), model(3, rate=rate)]
        cluster = state([server(1, budget_gb=30)], models, held, disk=0.15)
        assert bool(decided(cluster, wants(1)).loads) is at_once
        assert crowd(Board(state=cluster, policy=POLICY, now=NOW), KNOBS) == pytest.approx(min(1.0, rate), abs=0.01)


MENTIONED = 1 / 60
"""The rate of somebody who was mentioned just now."""

GUESSES: dict[str, tuple[dict[str, float], PlanPolicy, bool]] = {
    "asked lately": ({"rate": 0.01}, POLICY, True),
    "mentioned just now": ({"mention": MENTIONED}, POLICY, True),
    "mentioned a while ago": ({"mention": MENTIONED / 3}, POLICY, False),
    "asked lately, and would be unloaded": ({"rate": 0.1}, PlanPolicy(keep_models_loaded=False), False),
    "usual, and would be unloaded": ({"usual": 0.1}, PlanPolicy(keep_models_loaded=False), False),
    "mentioned, and would be unloaded later": ({"mention": MENTIONED}, PlanPolicy(keep_models_loaded=False), True),
    "mentioned, and would be unloaded at once": (
        {"mention": MENTIONED},
        PlanPolicy(keep_models_loaded=False, unload_delay_s=20.0),
        False,
    ),
}


@pytest.mark.parametrize(("known", "policy", "loaded"), GUESSES.values(), ids=GUESSES.keys())
def test_a_guess_is_loaded_where_it_may_stay_until_it_comes_true(known: dict[str, float], policy: PlanPolicy, loaded: bool) -> None:
    assert bool(decided(state([server(1)], [model(1, **known)]), policy=policy).loads) is loaded
