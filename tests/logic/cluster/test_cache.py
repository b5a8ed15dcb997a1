"""Equal requests: which answers count, and what becomes of those that wait for one."""

import pytest

from cluster.logic.cache import Fate, counts, fate
from cluster.logic.lifecycle import GenerationState as State


@pytest.mark.parametrize(
    ("age_s", "newer", "good"),
    [(0.0, 0, True), (299.9, 0, True), (300.0, 0, False), (10.0, 9, True), (10.0, 10, False)],
)
def test_an_answer_counts_while_it_is_young_and_among_the_newest(age_s: float, newer: int, good: bool) -> None:
    assert counts(age_s=age_s, newer=newer, ttl_s=300.0, entries=10) is good


@pytest.mark.parametrize(("ttl_s", "entries"), [(0.0, 10), (300.0, 0)])
def test_nothing_counts_where_nothing_may_be_kept(ttl_s: float, entries: int) -> None:
    assert not counts(age_s=0.0, newer=0, ttl_s=ttl_s, entries=entries)


@pytest.mark.parametrize(
    ("state", "text", "what"),
    [
        (State.QUEUED, "", Fate.WAIT),
        (State.RUNNING, "", Fate.WAIT),
        (State.DONE, "Hello.", Fate.SERVED),
        (State.DONE, "", Fate.FREED),
        (State.FAILED, "", Fate.FREED),
        (State.CANCELLED, "", Fate.LED),
        (State.EXPIRED, "", Fate.LED),
    ],
)
def test_the_end_of_a_request_decides_over_its_followers(state: State, text: str, what: Fate) -> None:
    assert fate(state, text) is what
