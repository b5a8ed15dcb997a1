"""What people do with requests: bring forward, ask again."""

from datetime import timedelta

import pytest

from cluster import hurry
from cluster.hurry import NotQueued
from cluster.models import Generation, Seat
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db


def test_what_is_brought_forward_has_its_turn_when_it_was_queued() -> None:
    now = clock.now()
    row = build.generation(priority=80, queued_at=now - timedelta(seconds=9), not_before=now + timedelta(minutes=1))
    hurry.hurry(row.pk, 0, "ann")
    row.refresh_from_db()
    assert (row.priority, row.turn_at, row.not_before) == (0, row.queued_at, None)


def test_nothing_is_ever_put_back() -> None:
    row = build.generation(priority=10)
    before = row.turn_at
    hurry.hurry(row.pk, 99, "ann")
    row.refresh_from_db()
    assert row.turn_at == before


def test_the_request_that_is_asked_for_both_comes_with_it() -> None:
    first = build.generation(priority=90)
    row = build.generation(priority=90, leader=first, queued_at=first.queued_at)
    hurry.hurry(row.pk, 0, "ann")
    first.refresh_from_db()
    assert first.turn_at == row.queued_at


@pytest.mark.parametrize("state", ["running", "done", "failed", "expired", "cancelled"])
def test_only_what_waits_can_be_brought_forward(state: str) -> None:
    with pytest.raises(NotQueued, match=state):
        hurry.hurry(build.generation(state=state).pk, 0, "ann")


@pytest.mark.parametrize("priority", [-1, 100])
def test_a_priority_outside_its_bounds_is_refused(priority: int) -> None:
    with pytest.raises(ValueError, match="no priority"):
        hurry.hurry(build.generation().pk, priority, "ann")


def test_a_running_request_waits_again_for_another_server_and_frees_its_seat() -> None:
    seat = build.seat()
    assert hurry.again(seat.generation_id, "ann", clock.now()) == seat.generation_id
    row = Generation.objects.get(pk=seat.generation_id)
    assert (row.state, row.avoid, row.lease_owner, Seat.objects.count()) == ("queued", row.server, None, 0)


@pytest.mark.parametrize("state", ["done", "failed", "expired", "cancelled"])
def test_of_an_ended_request_a_copy_is_queued_that_belongs_to_nobodys_reply(state: str) -> None:
    old = build.generation(state=state, priority=7, request={"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 5})
    build.offer(model=old.model)
    new = Generation.objects.get(pk=hurry.again(old.pk, "ann", clock.now()))
    assert (new.state, new.caller, new.priority, new.request["messages"], new.model) == (
        "queued",
        "again:ann",
        7,
        old.request["messages"],
        old.model,
    )
    old.refresh_from_db()
    assert old.state == state


def test_what_waits_already_and_what_is_not_there_is_refused() -> None:
    with pytest.raises(NotQueued, match="waits already"):
        hurry.again(build.generation().pk, "ann", clock.now())
    with pytest.raises(NotQueued, match="no request 4711"):
        hurry.again(4711, "ann", clock.now())
