"""The simulated cluster: its servers behave as the model says, and the planner that drives it is the product's own."""

from dataclasses import asdict
from itertools import pairwise

import pytest

from cluster.logic.decision import Load, Plan, Seat, Unload
from cluster.logic.simulation.run import Result, simulate
from cluster.logic.simulation.study import document, study
from cluster.logic.simulation.trace import parse
from cluster.logic.simulation.values import Trace, TraceError
from cluster.logic.simulation.world import UnsoundPlanError
from cluster.logic.state import ClusterState, Demand, PlanPolicy
from tests.logic.cluster.traces import asked, busy, meta, ran

STRATEGIES = ("expected-time", "least-loaded", "round-robin", "model-affinity", "memory-based")


def test_a_model_is_loaded_once_at_the_servers_speed_and_answers_go_as_fast_as_their_tokens() -> None:
    figures = ran([meta(), asked(0), asked(5), asked(30)]).figures
    assert (figures.loads, figures.gb_loaded, figures.evictions) == (1, 40, 0)
    assert (figures.started, figures.finished, figures.rejected) == (3, 3, 0)
    assert (figures.response_s.p99, figures.response_s.p50) == (23, 18)  # 20 + 3, 15 + 3, 3
    assert figures.warm_percent == pytest.approx(33.333)


def test_only_so_many_answers_run_at_once_as_there_are_slots() -> None:
    figures = ran([meta(slots=2), *[asked(0)] * 5]).figures
    assert figures.response_s.p99 == 20 + 3 * 3
    assert figures.wait_s.p50 == 23


def test_who_waits_longer_than_the_patience_is_rejected_and_nobody_before() -> None:
    lines = [meta(slots=1, patience_s=100), *[asked(0, tokens=80 * 25)] * 4]
    figures = ran(lines).figures  # loaded at 20 s, begun at 20 and, just in time, at 100
    assert (figures.started, figures.rejected, figures.rejected_percent) == (2, 2, 50)
    assert figures.priorities[50].longest_wait_s == 100


def test_a_model_that_fits_nowhere_is_rejected_at_once_with_the_reason() -> None:
    result = ran([meta(models={"big": 40, "huge": 200}), asked(0, "huge"), asked(1)])
    assert result.figures.rejected == 1
    assert "200.0 GB" in result.figures.impossible["huge"]


def test_a_pinned_request_is_answered_by_its_server_only() -> None:
    result = ran([meta(servers=2), asked(0), asked(60, pin="server-2"), asked(120, pin="server-1")], preload=False)
    assert {stay.server_id for stay in result.stays} == {1, 2}
    assert result.figures.loads == 2


def test_a_server_of_another_region_is_a_reserve() -> None:
    servers = [{"name": "far", "region": "attic"}, {"name": "near", "region": "home"}]
    result = ran([meta(servers=servers, region="home"), asked(0)])
    assert [stay.server_id for stay in result.stays] == [2]


def test_a_model_runs_at_the_speed_that_is_known_of_it_there() -> None:
    figures = ran([meta(servers=[{"name": "a", "speeds": {"big": 5}}]), asked(0)]).figures
    assert figures.response_s.p50 == 20 + 15


def test_the_more_urgent_goes_first() -> None:
    lines = [meta(slots=1), *[asked(0, priority=90)] * 5, *[asked(1, priority=10)] * 5]
    waits = {priority: one.longest_wait_s for priority, one in ran(lines).figures.priorities.items()}
    assert waits[10] == 20 - 1 + 4 * 3
    assert waits[90] == 20 + 9 * 3


def test_with_shares_a_caller_with_one_request_does_not_queue_behind_a_flood() -> None:
    lines = [meta(slots=1), *[asked(0, entity="loud")] * 20, asked(1, entity="quiet")]
    apart, together = ran(lines, shares=True).figures, ran(lines).figures
    assert together.wait_s.p99 == 20 - 1 + 20 * 3
    assert apart.wait_s.p99 == 20 + 20 * 3
    assert apart.finished == together.finished == 21


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_request_is_answered_or_rejected_and_no_server_is_ever_fuller_than_full(strategy: str) -> None:
    lines = busy(3)
    result = ran(lines, strategy=strategy)
    assert result.figures.finished + result.figures.rejected == len(lines) - 1
    assert result.figures.evictions > 0
    _sound(result, memory_gb=128)


def _sound(result: Result, memory_gb: float) -> None:
    """One load at a time on each server, and never more than fits."""
    for server_id in {stay.server_id for stay in result.stays}:
        here = sorted((stay for stay in result.stays if stay.server_id == server_id), key=lambda stay: stay.begin)
        loading = [(stay.begin, stay.loaded if stay.loaded is not None else result.end) for stay in here]
        assert all(end <= begin for (_, end), (begin, _) in pairwise(loading))
        for moment in [stay.begin for stay in here]:
            held = sum(s.gb for s in here if s.begin <= moment and (s.end is None or s.end > moment))
            assert held <= memory_gb


def test_the_same_trace_gives_the_same_run() -> None:
    lines = busy(5, servers=3)
    one, again = ran(lines), ran(lines)
    assert asdict(one.figures) == asdict(again.figures)
    assert one.stays == again.stays


def test_requests_of_the_first_seconds_are_not_counted_but_their_loads_are() -> None:
    figures = ran([meta(warm_s=10), asked(0), asked(30)]).figures
    assert (figures.requests, figures.response_s.p99, figures.loads, figures.loads_per_1000) == (1, 3, 1, 500)
    assert figures.warm_percent == 100


def test_more_memory_serves_more() -> None:
    runs = study(parse(busy(3)), ["expected-time"], ["add server 192GB"], lambda: 0.0)
    base, changed = (run.result.figures for run in runs)
    assert [run.case for run in runs] == ["base", "changed"]
    assert changed.response_s.p95 is not None
    assert base.response_s.p95 is not None
    assert changed.response_s.p95 < base.response_s.p95
    assert changed.gb_loaded < base.gb_loaded


def test_a_moved_model_runs_where_it_was_moved_to() -> None:
    runs = study(parse(busy(3)), ["expected-time"], ["move m0 server-2"], lambda: 0.0)
    assert {stay.server_id for stay in runs[1].result.stays if stay.model_id == 1} == {2}
    assert 1 in {stay.server_id for stay in runs[0].result.stays if stay.model_id == 1}


def test_a_removed_server_takes_its_pinned_requests_with_it() -> None:
    trace = parse([meta(servers=2), asked(0, pin="server-2"), asked(0)])
    changed = study(trace, ["expected-time"], ["remove server-2"], lambda: 0.0)[1].result.figures
    assert (changed.finished, changed.rejected) == (1, 1)


def test_a_strategy_that_nobody_registered_is_named_with_those_there_are() -> None:
    with pytest.raises(TraceError, match=r"no strategy 'luck'.*expected-time"):
        study(parse([meta(), asked(0)]), ["luck"], [], lambda: 0.0)


def test_only_times_differ_from_run_to_run_and_stand_apart() -> None:
    trace, ticks = parse(busy(3, seconds=120)), iter(range(10**9))

    def told(clock_step: int) -> dict[str, object]:
        runs = study(trace, ["expected-time", "least-loaded"], [], lambda: float(next(ticks) * clock_step))
        return document("t", trace, runs, [], shares=False)

    one, two = told(1), told(2)
    assert one.pop("timing") != two.pop("timing")
    assert one == two


@pytest.mark.parametrize(
    "wrong",
    [
        Plan(seats=(Seat(model_id=1, pin_id=None, placement_id=9, server_id=1, n=1, why=""),)),
        Plan(loads=(Load(model_id=1, server_id=1, gb=40, evict=(), why=""), Load(model_id=1, server_id=1, gb=40, evict=(), why=""))),
        Plan(unloads=(Unload(placement_id=9, why=""),)),
    ],
    ids=["a seat on nothing", "two loads at once", "an unload of nothing"],
)
def test_a_plan_that_no_server_could_follow_is_an_error(wrong: Plan) -> None:
    def planner(state: ClusterState, demand: object, policy: PlanPolicy, now: float) -> Plan:
        return wrong

    with pytest.raises(UnsoundPlanError):
        simulate(parse([meta(), asked(0)]), PlanPolicy(), lambda: 0.0, planner=planner)


def test_the_planner_sees_only_those_who_can_still_be_served() -> None:
    seen: list[Demand] = []

    def planner(state: ClusterState, demand: list[Demand], policy: PlanPolicy, now: float) -> Plan:
        assert all(need.deadline is not None and need.deadline >= now and need.oldest <= now for need in demand)
        seen.extend(demand)
        return Plan()

    trace: Trace = parse([meta(patience_s=10), *(asked(t) for t in range(30))])
    result = simulate(trace, PlanPolicy(), lambda: 0.0, planner=planner)
    assert max(need.waiting for need in seen) == 11
    assert result.figures.rejected == 30
