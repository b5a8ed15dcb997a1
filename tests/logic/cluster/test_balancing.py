"""The strategies."""

from typing import Any

import pytest

from cluster.logic.balancing import STRATEGIES, ranked
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
    "model affinity: who prefers it": ("model-affinity", {"preferred": True}, {"in_flight": 3}),
    "model affinity: the fuller": ("model-affinity", {"in_flight": 3}, {"in_flight": 1}),
    "memory: the larger server": ("memory-based", {"budget_gb": 120, "free_gb": 1}, {"budget_gb": 60, "free_gb": 50}),
    "memory: then the freer": ("memory-based", {"free_gb": 9}, {"free_gb": 8}),
    "memory: then the less busy": ("memory-based", {"in_flight": 1}, {"in_flight": 2}),
    "expected time: the quicker": ("expected-time", {"answer_seconds": 2.0}, {"answer_seconds": 3.0}),
    "expected time: nothing learned counts as usual": ("expected-time", {}, {"answer_seconds": 5.1}),
    "expected time: the quicker though busy": ("expected-time", {"answer_seconds": 2.0, "in_flight": 3}, {"answer_seconds": 4.0}),
    "expected time: the idler of equals": ("expected-time", {"in_flight": 0}, {"in_flight": 1}),
    "expected time: the heavier": ("expected-time", {"weight": 2.0}, {}),
    "expected time: who prefers it, of equals": ("expected-time", {"preferred": True}, {}),
}


@pytest.mark.parametrize(("strategy", "better", "worse"), BETTER.values(), ids=BETTER.keys())
def test_the_better_is_first(strategy: str, better: Any, worse: Any) -> None:
    for good, bad in ((1, 2), (2, 1)):
        order = ranked(strategy, [candidate(good, **better), candidate(bad, **worse)])
        assert [c.placement_id for _, c in order] == [good, bad]
        assert order[0][0] < order[1][0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_ties_go_to_the_lowest_id_in_whatever_order_they_come(strategy: str) -> None:
    some = [candidate(3), candidate(1), candidate(2)]
    assert [c.placement_id for _, c in ranked(strategy, some)] == [1, 2, 3]
    assert ranked(strategy, some) == ranked(strategy, some[::-1])


def test_a_strategy_of_ones_own_is_a_name_more() -> None:
    table = {**STRATEGIES, "last": lambda c: (-float(c.placement_id),)}
    assert [c.placement_id for _, c in ranked("last", [candidate(1), candidate(2)], table)] == [2, 1]
    with pytest.raises(KeyError):
        ranked("last", [candidate(1)])
