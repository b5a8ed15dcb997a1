"""What a load is worth: what a queue proves, and how much those count who are about to miss their deadline."""

from dataclasses import replace

import pytest

from cluster.logic.board import Board, Pressure
from cluster.logic.placement import plan
from cluster.logic.value import KNOBS, cycle, first, mercy, proven
from tests.logic.cluster.views import NOW, POLICY, ago, away, model, placed, server, state, wants


# --- a rate that was learned too slowly --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("waiting", "age", "least", "most"),
    [
        pytest.param(146, 6.6, 18.0, 22.2, id="so many in so short a time"),
        pytest.param(4, 0.1, 1.0, 1.0, id="four may be chance"),
        pytest.param(0, 0.0, 1.0, 1.0, id="nobody waits"),
        pytest.param(30, 0.0, 1.0, 3.2, id="a burst is no faster than two answers are long"),
        pytest.param(60, 100.0, 1.0, 1.0, id="slower than what was learned"),
        pytest.param(1_000_000, 3600.0, 270.0, 278.0, id="a backlog of an hour"),
    ],
)
def test_a_queue_proves_what_came_since_its_oldest_did_less_what_chance_may_add(
    waiting: int, age: float, least: float, most: float
) -> None:
    pressure = Pressure(waiting=waiting, oldest=ago(age))
    assert least <= proven(model(rate=1.0, answer_s=3.0), pressure, NOW) <= most


def test_one_more_copy_comes_into_idle_room_as_soon_as_a_queue_proves_that_the_others_cannot_carry_what_comes() -> None:
    """The queue alone would be worked off before the load is done, if nothing more came; and what was learned still says that less comes."""
    lagging = model(1, 40.0, rate=15.0, answer_s=3.0)
    hosts = [server(ident, gb_per_s=2.0) for ident in range(1, 17)]
    full = [placed(ident, ident, 1, gb=40.0, in_flight=4) for ident in range(1, 16)]
    cluster = state(hosts, [lagging], full)
    for oldest, loaded in ((ago(6.6), {16}), (ago(30.0), set())):
        assert {load.server_id for load in plan(cluster, [wants(1, 146, oldest=oldest)], POLICY, NOW).loads} == loaded


# --- the last seconds before a deadline --------------------------------------------------------------------------
def test_the_weight_before_the_deadline_falls_with_what_must_be_loaded_meanwhile_and_is_never_negative() -> None:
    weights = [mercy(debt / 10, KNOBS) for debt in range(60)]
    assert weights[0] == KNOBS.late
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0.0


def test_the_disks_have_to_load_what_is_nowhere_as_far_as_it_will_be_asked_for() -> None:
    asked, rare, never, there, lost = model(1, 40.0, rate=1.0), model(2, 40.0, rate=0.001), model(3), model(4, rate=1.0), model(5, rate=1.0)
    hosts = [server(1, gb_per_s=1.5), server(2, gb_per_s=0.5), away(3, gb_per_s=9.0)]
    held = [placed(1, 1, 4), placed(2, 3, 5)]
    board = Board(state=state(hosts, [asked, rare, never, there, lost], held), policy=POLICY, now=NOW)
    assert cycle(board, KNOBS) == pytest.approx((40.0 + 40.0 * 0.001 * KNOBS.keep_s + 20.0) / 2.0)
    assert cycle(Board(state=state([away(1)], [asked]), policy=POLICY, now=NOW), KNOBS) == 0.0


def test_who_is_about_to_miss_the_deadline_counts_more_where_all_could_be_served_than_where_many_cannot() -> None:
    one = model(rate=0.05)
    late = Pressure(waiting=8, oldest=ago(105), priority=50, timed=8.0, deadline=NOW + 15)
    early = replace(late, oldest=ago(10), deadline=NOW + 110)
    gain = {(p.oldest, s): first(one, p, 10.0, NOW, s, KNOBS) for p in (late, early) for s in (0.0, 90.0, 500.0)}
    assert gain[late.oldest, 0.0] > gain[late.oldest, 90.0] > gain[late.oldest, 500.0]
    assert gain[early.oldest, 0.0] == pytest.approx(gain[early.oldest, 500.0], rel=0.01)


def test_a_deadline_that_was_over_when_the_request_came_is_no_reason_to_stumble() -> None:
    for patience in (0.0, -5.0):
        late = Pressure(waiting=1, oldest=ago(0), priority=50, timed=1.0, deadline=NOW + patience)
        assert first(model(), late, 0.0, NOW, 100.0, KNOBS) >= 0.0
