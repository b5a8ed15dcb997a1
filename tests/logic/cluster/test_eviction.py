"""Which idle models make room."""

from datetime import timedelta
from typing import Any

import pytest

from cluster.logic.eviction import choose
from cluster.logic.lifecycle import PlacementState
from tests.logic.cluster.views import NOW, POLICY, ago, placed


def chosen(held: list[Any], need_gb: float, wanted: tuple[int, ...] = (), instances: int = 0) -> Any:
    verdict = choose(held, need_gb, POLICY, NOW, frozenset(wanted), instances)
    return None if verdict.victims is None else [p.id for p in verdict.victims]


OLD, OLDER, OLDEST = ago(100), ago(200), ago(400)

CASES: dict[str, tuple[list[Any], float, int, list[int] | None]] = {
    "the least recently used": ([placed(1, used_at=OLD), placed(2, used_at=OLDER)], 10, 0, [2]),
    "never used counts from its load": ([placed(1, used_at=OLD), placed(2, since=OLDER)], 10, 0, [2]),
    "the first of equals": ([placed(2, used_at=OLD), placed(1, used_at=OLD)], 10, 0, [1]),
    "as many as needed": ([placed(1, used_at=OLDER), placed(2, used_at=OLD), placed(3, used_at=OLDEST)], 35, 0, [3, 1]),
    "not one that a later victim made needless": ([placed(1, gb=2, used_at=OLDEST), placed(2, gb=30, used_at=OLDER)], 25, 0, [2]),
    "enough instances": ([placed(1, gb=1, used_at=OLDER), placed(2, gb=1, used_at=OLD)], 0, 2, [1, 2]),
    "one instance": ([placed(1, gb=1, used_at=OLDER), placed(2, gb=1, used_at=OLD)], 0, 1, [1]),
    "not enough of all": ([placed(1), placed(2)], 41, 0, None),
    "not enough instances": ([placed(1)], 0, 2, None),
    "nothing held": ([], 1, 0, None),
    "not the busy": ([placed(1, in_flight=1)], 10, 0, None),
    "not the pinned": ([placed(1, pinned=True)], 10, 0, None),
    "not the loading": ([placed(1, state=PlacementState.LOADING)], 10, 0, None),
    "not the unloading": ([placed(1, state=PlacementState.UNLOADING)], 10, 0, None),
    "not the young": ([placed(1, since=ago(19))], 10, 0, None),
    "the one that has just become old enough": ([placed(1, since=ago(20))], 10, 0, [1]),
}


@pytest.mark.parametrize(("held", "need_gb", "instances", "victims"), CASES.values(), ids=CASES.keys())
def test_the_victims_are(held: list[Any], need_gb: float, instances: int, victims: list[int] | None) -> None:
    assert chosen(held, need_gb, instances=instances) == victims
    assert chosen(held[::-1], need_gb, instances=instances) == victims


def test_a_wanted_model_never_goes() -> None:
    assert chosen([placed(1, model_id=7)], 10, wanted=(7,)) is None


def test_the_cost_is_what_goes() -> None:
    assert choose([placed(1, gb=12), placed(2, gb=9)], 20, POLICY, NOW, frozenset()).cost_gb == 21


def test_who_is_too_young_says_from_when() -> None:
    verdict = choose([placed(1, since=ago(5)), placed(2, since=ago(12))], 10, POLICY, NOW, frozenset())
    assert verdict.until == NOW + timedelta(seconds=8)
