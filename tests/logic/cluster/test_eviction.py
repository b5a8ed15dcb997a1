"""Which idle models make room."""

from typing import Any

import pytest

from cluster.logic.board import Board, Pressure
from cluster.logic.eviction import choose, emptied, evictable_at
from cluster.logic.lifecycle import PlacementState
from cluster.logic.placement import plan
from cluster.logic.value import KNOBS, moved, worth
from tests.logic.cluster.views import NOW, POLICY, ago, model, offer, placed, server, state, wants

OLD, OLDER, OLDEST = ago(100), ago(200), ago(250)


def board(held: list[Any], rates: dict[int, float] | None = None, wanted: tuple[int, ...] = ()) -> Board:
    models = [model(i, rate=(rates or {}).get(i, 0.0)) for i in range(1, 8)]
    laid = Board(state=state([server(1)], models, held), policy=POLICY, now=NOW)
    for model_id in wanted:
        laid.pressure[model_id] = Pressure(waiting=1, oldest=OLD)
    return laid


def chosen(held: list[Any], need_gb: float, instances: int = 0, **over: Any) -> list[int] | None:
    laid = board(held, **over)
    found = choose(laid, laid.state.servers[1], need_gb, instances, KNOBS)
    return None if found is None else [p.id for p in found.victims]


CASES: dict[str, tuple[list[Any], float, int, list[int] | None]] = {
    "the least recently used": ([placed(1, used_at=OLD), placed(2, used_at=OLDER)], 10, 0, [2]),
    "never used counts from its load": ([placed(1, used_at=OLD), placed(2, since=OLDER)], 10, 0, [2]),
    "the first of equals": ([placed(2, used_at=OLD), placed(1, used_at=OLD)], 10, 0, [1]),
    "as many as needed": ([placed(1, used_at=OLDER), placed(2, used_at=OLD), placed(3, used_at=OLDEST)], 35, 0, [1, 3]),
    "not one that a later victim made needless": ([placed(1, gb=2, used_at=OLDEST), placed(2, gb=30, used_at=OLDER)], 25, 0, [2]),
    "one alone where that is cheaper": ([placed(1, gb=9, used_at=OLDEST), placed(2, gb=9, used_at=OLD), placed(3, gb=11)], 10, 0, [3]),
    "one alone where one has to go": ([placed(1, gb=9, used_at=OLDEST), placed(2, gb=9, used_at=OLD), placed(3, gb=11)], 10, 1, [3]),
    "not one without which it is just enough": (
        [placed(1, gb=10, used_at=OLDEST), placed(2, gb=15, used_at=OLDER), placed(3, gb=15, used_at=OLD)],
        30,
        2,
        [2, 3],
    ),
    "enough instances": ([placed(1, gb=1, used_at=OLDER), placed(2, gb=1, used_at=OLD)], 0, 2, [1, 2]),
    "one instance": ([placed(1, gb=1, used_at=OLDER), placed(2, gb=1, used_at=OLD)], 0, 1, [1]),
    "not enough of all": ([placed(1), placed(2)], 41, 0, None),
    "not enough instances": ([placed(1)], 0, 2, None),
    "nothing held": ([], 1, 0, None),
    "not the busy": ([placed(1, in_flight=1)], 10, 0, None),
    "not the pinned": ([placed(1, pinned=True)], 10, 0, None),
    "not the loading": ([placed(1, state=PlacementState.LOADING)], 10, 0, None),
    "not the unloading": ([placed(1, state=PlacementState.UNLOADING)], 10, 0, None),
    "not the young": ([placed(1, since=ago(1.9))], 10, 0, None),
    "the one that has just become old enough": ([placed(1, since=ago(2))], 10, 0, [1]),
}


@pytest.mark.parametrize(("held", "need_gb", "instances", "victims"), CASES.values(), ids=CASES.keys())
def test_the_victims_are(held: list[Any], need_gb: float, instances: int, victims: list[int] | None) -> None:
    assert chosen(held, need_gb, instances) == victims
    assert chosen(held[::-1], need_gb, instances) == victims


def test_the_model_that_is_asked_for_least_goes_though_it_was_used_last() -> None:
    held = [placed(1, model_id=1, used_at=OLDER), placed(2, model_id=2, used_at=OLD)]
    assert chosen(held, 10, rates={1: 0.5, 2: 0.01}) == [2]


def test_a_model_unused_past_the_unload_delay_goes_before_others() -> None:
    held = [placed(1, model_id=1, used_at=ago(301)), placed(2, model_id=2, used_at=ago(299))]
    assert chosen(held, 10, rates={1: 0.015, 2: 0.01}) == [1]


def test_of_two_copies_one_is_cheaper_than_the_only_one_of_another() -> None:
    laid = Board(
        state=state([server(1), server(2)], [model(1, rate=0.1), model(2, rate=0.01)], [placed(1, 1, 1), placed(2, 2, 1), placed(3, 1, 2)]),
        policy=POLICY,
        now=NOW,
    )
    found = choose(laid, laid.state.servers[1], 10, 0, KNOBS)
    assert found is not None
    assert [p.id for p in found.victims] == [1]


def test_what_somebody_waits_for_stays_until_it_has_served_them() -> None:
    owing, done = placed(1, model_id=7, served=False, since=ago(30)), placed(1, model_id=7, since=ago(30))
    assert chosen([owing], 10, wanted=(7,)) is None
    assert chosen([owing], 10) == [1]
    assert chosen([done], 10, wanted=(7,)) == [1]


def test_who_is_too_young_says_from_when() -> None:
    laid = board([placed(1, since=ago(1))])
    assert evictable_at(laid, laid.state.by_server[1][0]) == NOW + 1


def test_who_is_overdue_has_the_emptiest_run_empty() -> None:
    laid = board([placed(1, in_flight=3), placed(2, model_id=2, in_flight=1), placed(3, model_id=3, pinned=True)])
    found = emptied(laid, laid.state.servers[1], 10, 0, 2.0, KNOBS)
    assert [p.id for p in found or ()] == [2]
    assert emptied(laid, laid.state.servers[1], 41, 0, 2.0, KNOBS) is None


# --- what another server has room for ----------------------------------------------------------------------------
ELSEWHERE: dict[str, tuple[list[Any], list[Any], bool]] = {
    "room for it elsewhere": ([], [], True),
    "room for less": ([placed(9, 2, 7, gb=61)], [], False),
    "not where it is on no disk": ([], [offer(1, 1), offer(1, 2)], False),
    "another copy is there": ([placed(9, 2, 1)], [], False),
}


@pytest.mark.parametrize(("there", "offers", "cheap"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_the_last_copy_of_what_another_server_has_room_for_costs_only_its_load(there: list[Any], offers: list[Any], cheap: bool) -> None:
    models = [model(i, rate=0.5) for i in range(1, 8)]
    laid = Board(state=state([server(1), server(2)], models, [placed(1, used_at=NOW), *there], offers or None), policy=POLICY, now=NOW)
    found = choose(laid, laid.state.servers[1], 10, 0, KNOBS)
    assert found is not None
    before, after = worth(laid, 1, KNOBS), moved(laid, laid.state.models[1], KNOBS)
    assert found.cost == pytest.approx(after if cheap else before, abs=0.01)


def test_a_busy_disk_makes_moving_dear() -> None:
    models = [model(1, rate=0.5), model(2, rate=9.0)]
    boards = [Board(state=state([server(1)], models, [placed(1)], disk=disk), policy=POLICY, now=NOW) for disk in (0.0, 0.1, 0.5)]
    costs = [moved(board, models[0], KNOBS) for board in boards]
    assert costs == sorted(set(costs))


def test_one_more_copy_of_a_model_in_demand_moves_a_small_one_to_where_there_is_room_for_it() -> None:
    """No server has room for the large one; the rooms there are, together, would hold it."""
    large, small = model(1, 45.0, rate=1.4, answer_s=3.0), model(2, 8.0, rate=0.2)
    crowded = [
        placed(1, 1, 1, gb=45.0, in_flight=4),
        placed(2, 2, 2, gb=8.0, used_at=NOW),
        placed(3, 2, 3, gb=30.0, pinned=True),
        placed(4, 1, 4, pinned=True),
    ]
    hosts = [server(1), server(2, gb_per_s=2.0)]
    cluster = state(hosts, [large, small, model(3, 30.0), model(4)], crowded)
    (load,) = plan(cluster, [wants(1, 2)], POLICY, NOW).loads
    assert (load.server_id, load.evict) == (2, (2,))
    full = [*crowded, placed(5, 1, 4, gb=8.0, pinned=True)]
    assert not plan(state(hosts, [large, small, model(3, 30.0), model(4)], full), [wants(1, 2)], POLICY, NOW).loads
