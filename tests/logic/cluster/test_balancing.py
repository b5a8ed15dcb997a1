"""The strategies."""

from typing import Any

import pytest

from cluster.logic.balancing import STRATEGIES, Site, answer_s, find
from tests.logic.cluster.views import ago, candidate

BETTER: dict[str, tuple[str, Any, Any]] = {
    "least loaded: fewer on the server": ("least-loaded", {"server_in_flight": 1}, {"server_in_flight": 2}),
    "least loaded: by weight": ("least-loaded", {"server_in_flight": 3, "weight": 2.0}, {"server_in_flight": 2}),
    "least loaded: fewer on the model": (
        "least-loaded",
        {"server_in_flight": 2, "in_flight": 1},
        {"server_in_flight": 2, "in_flight": 2},
    ),
    "round robin: whose turn was longest ago": ("round-robin", {"used_at": ago(9)}, {"used_at": ago(3)}),
    "round robin: who never had a turn": ("round-robin", {}, {"used_at": ago(3)}),
    "round robin: who had fewer turns in this plan": ("round-robin", {"used_at": ago(1)}, {"used_at": ago(9), "turns": 1}),
    "model affinity: who prefers it": ("model-affinity", {"liking": 0}, {"in_flight": 3}),
    "model affinity: the fuller": ("model-affinity", {"in_flight": 3}, {"in_flight": 1}),
    "memory: the larger server": ("memory-based", {"budget_gb": 120, "free_gb": 1}, {"budget_gb": 60, "free_gb": 50}),
    "memory: then the freer": ("memory-based", {"free_gb": 9}, {"free_gb": 8}),
    "memory: then the less busy": ("memory-based", {"in_flight": 1}, {"in_flight": 2}),
    "expected time: the quicker": ("expected-time", {"answer_s": 2.0}, {"answer_s": 3.0}),
    "expected time: of nearly equals whose turn was longest ago": ("expected-time", {"answer_s": 2.2}, {"answer_s": 2.0, "used_at": 9.0}),
    "expected time: the quicker though busy": ("expected-time", {"answer_s": 2.0, "in_flight": 3}, {"answer_s": 5.0}),
    "expected time: the idler of equals": ("expected-time", {"in_flight": 0}, {"in_flight": 1}),
    "expected time: the heavier": ("expected-time", {"weight": 2.0}, {}),
    "expected time: who prefers it, of equals": ("expected-time", {"liking": 0}, {}),
}


def order(strategy: str, *candidates: Any) -> list[int]:
    """The ids, the best first."""
    fastest = min(c.expected_s for c in candidates)
    for one in candidates:
        one.fastest_s = fastest
    return [c.placement_id for c in sorted(candidates, key=lambda c: (find(strategy).seat(c), c.placement_id))]


@pytest.mark.parametrize(("strategy", "better", "worse"), BETTER.values(), ids=BETTER.keys())
def test_the_better_is_first(strategy: str, better: Any, worse: Any) -> None:
    for good, bad in ((1, 2), (2, 1)):
        assert order(strategy, candidate(good, **better), candidate(bad, **worse)) == [good, bad]


SITES: dict[str, tuple[str, Any, Any]] = {
    "least loaded: by weight": ("least-loaded", {"in_flight": 3, "weight": 2.0}, {"in_flight": 2}),
    "least loaded: then the freer": ("least-loaded", {"free_gb": 9.0}, {"free_gb": 8.0}),
    "round robin: where the last load was longest ago": ("round-robin", {"loaded_at": ago(9)}, {"loaded_at": ago(3)}),
    "model affinity: who prefers it": ("model-affinity", {"liking": 1, "free_gb": 9.0}, {"free_gb": 8.0}),
    "model affinity: then the fuller": ("model-affinity", {"free_gb": 8.0}, {"free_gb": 9.0}),
    "memory: the larger server": ("memory-based", {"budget_gb": 120.0}, {"free_gb": 50.0}),
    "memory: then the freer": ("memory-based", {"free_gb": 9.0}, {"free_gb": 8.0}),
    "expected time: who prefers it": ("expected-time", {"liking": 1, "load_s": 30.0}, {}),
    "expected time: then the quicker": ("expected-time", {"load_s": 9.8, "free_gb": 9.0}, {"free_gb": 8.0}),
    "expected time: of nearly equals the fuller": ("expected-time", {"load_s": 10.04, "free_gb": 8.0}, {"free_gb": 9.0}),
}


def site(**over: Any) -> Site:
    values = {"load_s": 10.0, "free_gb": 8.0, "budget_gb": 60.0, "in_flight": 0, "loaded_at": ago(5), "weight": 1.0, "liking": 2}
    return Site(server_id=1, server="studio-1", **values | over)


@pytest.mark.parametrize(("strategy", "better", "worse"), SITES.values(), ids=SITES.keys())
def test_the_better_place_for_a_load_is_first(strategy: str, better: Any, worse: Any) -> None:
    load = find(strategy).load
    assert load(site(**better)) < load(site(**worse))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_ties_go_to_the_lowest_id_in_whatever_order_they_come(strategy: str) -> None:
    assert order(strategy, candidate(3), candidate(1), candidate(2)) == [1, 2, 3]


def test_a_strategy_that_nobody_registered_names_those_there_are() -> None:
    with pytest.raises(KeyError, match="There are: expected-time, least-loaded"):
        find("luck")


HOPES: dict[str, tuple[tuple[float | None, float | None, float, float], float]] = {
    "nothing known: a little better than usual": ((None, None, 0.0, 10.0), 8.0),
    "well known: the mean": ((10.0, 2.0, 399.0, 5.0), 9.9),
    "little known: hopeful by its spread": ((10.0, 2.0, 3.0, 5.0), 9.0),
    "known from long ago only": ((10.0, 4.0, 0.0, 5.0), 6.0),
    "never absurdly hopeful": ((10.0, 40.0, 0.0, 5.0), 3.0),
}


@pytest.mark.parametrize(("learned", "expected"), HOPES.values(), ids=HOPES.keys())
def test_an_estimate_is_the_more_hopeful_the_less_it_rests_on(learned: Any, expected: float) -> None:
    assert answer_s(*learned) == pytest.approx(expected)
