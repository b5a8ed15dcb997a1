"""The schedule of a chaos run, as a function of its seed."""

from collections import Counter

import pytest

from tests.chaos.schedule import MACHINES, OF_MACHINES, OF_SERVERS, SERVERS, SIZES, TROUBLED, Kind, schedule

SEEDS = range(20)


@pytest.mark.parametrize("name", ["short", "small"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_schedule_keeps_its_promises(name: str, seed: int) -> None:
    size = SIZES[name]
    troubles = schedule(seed, size)
    assert troubles == schedule(seed, size), "the same seed gives the same run"
    assert list(troubles) == sorted(troubles, key=lambda one: one.at)
    assert all(0 < one.at <= one.ends <= size.seconds + 1e-6 for one in troubles)
    assert Counter(one.kind for one in troubles)[Kind.POSTGRES] == 1
    assert {one.kind for one in troubles} >= {*OF_SERVERS, *OF_MACHINES, Kind.CRASH, Kind.LOAD, Kind.UNLOAD}
    assert all(one.target < (MACHINES if one.kind in OF_MACHINES else SERVERS) for one in troubles)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_server_has_two_lasting_troubles_at_once_and_half_of_them_have_none(seed: int) -> None:
    lasting = [one for one in schedule(seed, SIZES["small"]) if one.kind in OF_SERVERS]
    for one in lasting:
        others = [other for other in lasting if other is not one and other.at <= one.at < other.ends]
        assert all(other.target != one.target for other in others)
        assert len(others) < TROUBLED


def test_other_seeds_give_other_runs() -> None:
    assert len({schedule(seed, SIZES["short"]) for seed in SEEDS}) == len(SEEDS)
