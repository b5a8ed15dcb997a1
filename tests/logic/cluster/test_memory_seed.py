"""Multi-model memory management, as the design document tells it: two machines of 128 GB, ten personas, models of many sizes."""

from typing import Any

import pytest

from cluster.logic.decision import Plan
from cluster.logic.lifecycle import PlacementState
from cluster.logic.memory import guess_gb, headroom_gb
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState
from tests.logic.cluster.views import NOW, POLICY, ago, model, placed, server, state, wants

MAC_GB = 128 - headroom_gb(128)
"""What one of the document's machines can give; the document forgets the rest of the system."""

SIZES = {
    1: guess_gb("llama-70b"),
    2: guess_gb("highermind_the-eternal-1"),
    3: guess_gb("llama-7b"),
    4: guess_gb("mistral-7b"),
    5: guess_gb("google/gemma-3-27b"),
    6: guess_gb("mixtral-8x7b"),
    7: guess_gb("llama-30b"),
    **{n: guess_gb(f"somebody/else-{n}") for n in (8, 9, 10)},
}
"""The models of the document's example, and unknown ones for the rest of the ten personas."""


def settled(cluster: ClusterState, needs: list[Any]) -> list[Plan]:
    """Plan and carry out, loads being done at once, until there is nothing to do."""
    plans: list[Plan] = []
    for n in range(30):
        decided = plan(cluster, needs, POLICY, NOW + n)
        plans.append(decided)
        for load in decided.loads:
            for one in [p for p in cluster.by_server[load.server_id] if p.id in load.evict]:
                cluster.remove(one)
            cluster.add(placed(100 + sum(1 for _ in cluster.all()), load.server_id, load.model_id, gb=load.gb, since=NOW + n))
        if not decided.loads:
            return plans
    raise AssertionError("it loads for ever")


def test_256_gb_hold_the_models_of_all_ten_entities_at_once() -> None:
    macs = [server(1, budget_gb=MAC_GB), server(2, budget_gb=MAC_GB)]
    cluster = state(macs, [model(n, need_gb=gb) for n, gb in SIZES.items()])
    plans = settled(cluster, [wants(n) for n in SIZES])
    assert {p.model_id for p in cluster.all()} == set(SIZES)
    assert not [load for decided in plans for load in decided.loads if load.evict]
    for mac in macs:
        assert sum(p.gb for p in cluster.by_server[mac.id]) <= mac.budget_gb
    assert sum(p.gb for p in cluster.all()) == sum(SIZES.values()) == 183


HELD: dict[str, tuple[list[tuple[float, dict[str, Any]]], float, int | None]] = {
    "without unloading": ([(29, {}), (17, {})], 40, 0),
    "by unloading one": ([(45, {}), (40, {}), (20, {})], 40, 1),
    "by unloading several": ([(20, {}), (20, {}), (29, {}), (40, {})], 75, 3),
    "not by unloading the busy": ([(60, {"in_flight": 1}), (50, {"in_flight": 1})], 40, None),
    "not by unloading the pinned": ([(60, {"pinned": True}), (50, {"pinned": True})], 40, None),
    "by unloading what is idle beside them": ([(60, {"in_flight": 1}), (20, {}), (30, {})], 45, 2),
    "not by unloading too little": ([(80, {"in_flight": 1}), (4, {}), (4, {})], 45, None),
}


@pytest.mark.parametrize(("held", "gb", "victims"), HELD.values(), ids=HELD.keys())
def test_can_load_model(held: list[tuple[float, dict[str, Any]]], gb: float, victims: int | None) -> None:
    """The document lets the least recently used one go, one at most, and does not look whether it is busy."""
    models = [model(99, need_gb=gb), *[model(n, need_gb=size) for n, (size, _) in enumerate(held, 1)]]
    there = {n: placed(n, 1, n, gb=size, used_at=ago(3600 - n), **over) for n, (size, over) in enumerate(held, 1)}
    decided = plan(state([server(1, budget_gb=MAC_GB)], models, list(there.values())), [wants(99, oldest=ago(60))], POLICY, NOW)
    assert [len(load.evict) for load in decided.loads] == ([] if victims is None else [victims])
    assert bool(decided.waits) is (victims is None)
    for load in decided.loads:
        going = [there[n] for n in load.evict]
        assert not [p for p in going if p.in_flight or p.pinned]
        assert sum(p.gb for p in there.values()) - sum(p.gb for p in going) + gb <= MAC_GB + 1e-9


def test_what_no_machine_could_hold_is_not_waited_for() -> None:
    cluster = state([server(1, budget_gb=MAC_GB), server(2, budget_gb=MAC_GB)], [model(1, need_gb=130.0)])
    decided = plan(cluster, [wants(1)], POLICY, NOW)
    assert (len(decided.impossible), decided.loads, decided.waits) == (1, (), ())


def test_the_first_choice_is_what_is_in_memory_then_room_then_a_swap() -> None:
    """The document's three choices, in its order."""
    macs, models = [server(n, budget_gb=60.0) for n in (1, 2, 3)], [model(n, need_gb=40.0) for n in (1, 2, 3)]
    full, warm, busy = placed(1, 1, 2, gb=40.0), placed(2, 2, 1, gb=40.0), {"in_flight": 4}
    everything = plan(state(macs, models, [full, warm]), [wants(1)], POLICY, NOW)
    assert [s.server_id for s in everything.seats] == [2]
    without = plan(state(macs, models, [full]), [wants(1)], POLICY, NOW)
    assert [(load.server_id, load.evict) for load in without.loads] in ([(2, ())], [(3, ())])
    swap = plan(state(macs[:2], models, [full, placed(3, 2, 3, gb=40.0, **busy)]), [wants(1, oldest=ago(60))], POLICY, NOW)
    assert [(load.server_id, load.evict) for load in swap.loads] == [(1, (1,))]


def test_while_a_model_is_coming_its_memory_is_spent() -> None:
    coming = placed(1, 1, 1, gb=30.0, state=PlacementState.LOADING)
    decided = plan(state([server(1, budget_gb=60.0)], [model(1, 30.0), model(2, 40.0)], [coming]), [wants(2)], POLICY, NOW)
    assert not decided.loads
