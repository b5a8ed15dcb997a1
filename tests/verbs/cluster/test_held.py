"""Seats that a process holds for its clients: taken, given back, counted again, and freed when it is gone."""

from datetime import timedelta
from typing import Any

import pytest

from cluster import lease, queue
from cluster.catalogue import Catalogue
from cluster.logic.request import Request
from cluster.models import Generation, Placement, Seat, Server
from cluster.relay import held, place
from swwbot_site.lib import clock, leases
from tests import build

HOME, OTHER = 4001, 4002


def warm(**over: Any) -> Placement:
    """A model in memory that its server offers."""
    placement = build.placement(**over)
    build.offer(server=placement.server, model=placement.model, context_limit=None)
    return placement


def hold(wants: dict[int, int], owner: int = HOME) -> list[held.Block]:
    return held.hold(owner, wants, clock.now(), Catalogue())


def queued(placement: Placement, home: int | None = None, **over: Any) -> Generation:
    return build.generation(model=placement.model, home=home, **over)


def look(blocks: dict[int, held.Block], waiting: list[int] = [], asking: list[int] = []) -> held.Standing:  # noqa: B006 - only read
    return held.look(HOME, waiting, asking, blocks, clock.now())


@pytest.mark.django_db
def test_as_many_seats_are_held_as_are_wanted_and_free() -> None:
    placement = warm(slots=4)
    build.seat(placement=placement)
    (block,) = hold({placement.model_id: 2})
    assert (block.n, block.ticket.placement_id, block.ticket.endpoint.url) == (2, placement.pk, placement.server.url)
    (block,) = hold({placement.model_id: 9}, OTHER)
    assert block.n == 1
    assert hold({placement.model_id: 1}) == []
    assert Seat.objects.filter(generation=None, lease_owner=HOME).count() == 2
    assert "held" in block.decision["why"]


@pytest.mark.django_db
def test_no_seat_is_held_where_anybody_waits_for_the_model() -> None:
    placement = warm()
    for home in (None, OTHER, HOME):
        row = queued(placement, home)
        assert hold({placement.model_id: 1}) == []
        row.delete()
    assert hold({placement.model_id: 1})


@pytest.mark.django_db
@pytest.mark.parametrize("change", [{"draining": True}, {"enabled": False}, {"state": "offline"}, {"state": "misconfigured"}])
def test_no_seat_is_held_on_a_server_that_takes_nothing_and_what_is_held_there_is_lost(change: dict[str, Any]) -> None:
    placement = warm()
    blocks = {block.ticket.placement_id: block for block in hold({placement.model_id: 1})}
    assert look(blocks).lost == frozenset()
    Server.objects.filter(pk=placement.server_id).update(**change)
    assert look(blocks).lost == {placement.pk}
    assert hold({placement.model_id: 1}, OTHER) == []


@pytest.mark.django_db
@pytest.mark.parametrize("change", [{"dismissed": True}, {"failures": 1}, {"state": "unloading"}])
def test_seats_are_lost_when_their_placement_is_to_run_empty_or_fails(change: dict[str, Any]) -> None:
    placement = warm()
    blocks = {block.ticket.placement_id: block for block in hold({placement.model_id: 1})}
    Placement.objects.filter(pk=placement.pk).update(**change)
    assert look(blocks).lost == {placement.pk}
    Server.objects.filter(pk=placement.server_id).delete()
    assert look(blocks).lost == {placement.pk}


@pytest.mark.django_db
def test_seats_are_lost_when_their_server_is_asked_in_another_way_now() -> None:
    placement = warm()
    blocks = {block.ticket.placement_id: block for block in hold({placement.model_id: 1})}
    Server.objects.filter(pk=placement.server_id).update(token="another")
    assert look(blocks).lost == {placement.pk}


@pytest.mark.django_db
def test_others_who_wait_for_the_model_are_seen_and_one_s_own_are_not() -> None:
    placement = warm()
    blocks = {block.ticket.placement_id: block for block in hold({placement.model_id: 1})}
    queued(placement, HOME)
    assert look(blocks).wanted == frozenset()
    row = queued(placement, not_before=clock.now() + timedelta(hours=1))
    assert look(blocks).wanted == frozenset()
    Generation.objects.filter(pk=row.pk).update(not_before=None)
    assert look(blocks).wanted == {placement.model_id}


@pytest.mark.django_db
def test_seats_are_given_up_where_a_model_may_have_to_leave_for_one_that_is_overdue() -> None:
    placement, elsewhere = warm(), warm()
    blocks = {block.ticket.placement_id: block for block in (*hold({placement.model_id: 1}), *hold({elsewhere.model_id: 1}))}
    late = build.offer(server=placement.server)
    row = build.generation(model=late.model, turn_at=clock.now() - timedelta(seconds=1))
    assert look(blocks).lost == frozenset()
    Generation.objects.filter(pk=row.pk).update(turn_at=clock.now() - timedelta(days=1))
    assert look(blocks).lost == {placement.pk}


@pytest.mark.django_db
def test_seats_of_others_are_never_given_back() -> None:
    placement = warm(slots=6)
    hold({placement.model_id: 2})
    hold({placement.model_id: 2}, OTHER)
    running = build.seat(placement=placement, lease_owner=HOME)
    held.give_back(HOME, {placement.pk: 5})
    assert Seat.objects.filter(lease_owner=HOME).get() == running
    held.release(OTHER)
    assert Seat.objects.get() == running


@pytest.mark.django_db
def test_counting_again_holds_exactly_what_is_said() -> None:
    placement = warm(slots=6)
    hold({placement.model_id: 4})
    running = build.seat(placement=placement, lease_owner=HOME)
    for n in (3, 3, 1):
        held.recount(HOME, {placement.pk: n, 10**9: 2}, clock.now())
        assert Seat.objects.filter(generation=None, lease_owner=HOME, placement=placement).count() == n
    held.recount(HOME, {}, clock.now())
    assert Seat.objects.get() == running


@pytest.mark.django_db
def test_only_one_s_own_waiting_requests_are_claimed_and_each_once() -> None:
    placement = warm()
    (block,) = hold({placement.model_id: 3})
    mine, foreign, anybody, gone = (
        queued(placement, home, **over) for home, over in ((HOME, {}), (OTHER, {}), (None, {}), (HOME, {"state": "cancelled"}))
    )
    chosen = {row.pk: block for row in (mine, foreign, anybody, gone)}
    assert held.claim(HOME, chosen, clock.now()) == [mine.pk]
    assert held.claim(HOME, chosen, clock.now()) == []
    mine.refresh_from_db()
    assert (mine.state, mine.lease_owner, mine.placement, mine.server) == ("running", HOME, placement, placement.server)
    assert not Seat.objects.filter(generation=mine).exists()


@pytest.mark.django_db
def test_a_look_tells_who_was_seated_and_who_has_ended() -> None:
    placement = warm()
    common = {"model": placement.model, "home": HOME, "placement": placement, "server": placement.server}
    seated = build.generation(state="running", lease_owner=HOME, **common)
    asked = build.generation(state="running", lease_owner=HOME, **common)
    off = build.generation(state="cancelled", error_code="cancelled", error="Not now.", **common)
    taken = build.generation(state="queued", **common)
    waits = build.generation(state="queued", **common)
    seen = look({}, [seated.pk, off.pk, waits.pk, 10**9], [asked.pk, taken.pk])
    assert [ticket.generation_id for ticket in seen.handed] == [seated.pk]
    assert set(seen.ended) == {off.pk, taken.pk, 10**9}
    assert seen.ended[off.pk] == ("cancelled", "cancelled", "Not now.")
    assert seen.turns[waits.pk] == waits.turn_at


@pytest.mark.django_db
def test_whose_placement_is_gone_when_it_is_its_turn_waits_again() -> None:
    row = build.generation(state="running", lease_owner=HOME, home=HOME)
    assert look({}, [row.pk]).handed == ()
    row.refresh_from_db()
    assert row.state == "queued"


@pytest.mark.django_db
def test_the_row_of_a_client_says_when_its_turn_is() -> None:
    placement = warm()
    request = Request(messages=[{"role": "user", "content": "Hello?"}])
    pk, turn = held.queue_up(HOME, placement.model.key, request, "api:one", 3, clock.now())
    row = Generation.objects.get(pk=pk)
    assert (row.turn_at, row.home, row.request_hash, row.priority) == (turn, HOME, "", 3)


@pytest.mark.django_db
def test_numbers_are_given_once() -> None:
    first, second = held.numbers(), held.numbers()
    assert len({*first, *second, queued(warm()).pk}) == 2 * held.NUMBERS + 1


@pytest.mark.django_db
def test_what_a_process_held_is_freed_when_it_is_gone_and_its_clients_requests_end() -> None:
    placement = warm(slots=9)
    hold({placement.model_id: 2})
    hold({placement.model_id: 1}, OTHER)
    now = clock.now()
    long_ago = now - leases.GRACE - timedelta(seconds=1)
    waits, fresh = queued(placement, HOME, queued_at=long_ago), queued(placement, HOME, queued_at=now)
    asked = build.generation(state="running", model=placement.model, home=HOME, lease_owner=HOME, lease_until=long_ago + leases.LEASE)
    other = build.generation(state="running", model=placement.model, home=OTHER, lease_owner=OTHER, lease_until=now + leases.LEASE)
    engine = build.generation(state="running", model=placement.model, lease_owner=77, lease_until=long_ago + leases.LEASE)
    Seat.objects.filter(lease_owner=HOME).update(lease_until=long_ago + leases.LEASE)
    lease.reap(now, frozenset({OTHER}))
    states = dict(Generation.objects.values_list("pk", "state"))
    assert states == {waits.pk: "cancelled", fresh.pk: "queued", asked.pk: "cancelled", other.pk: "running", engine.pk: "queued"}
    assert set(Seat.objects.values_list("lease_owner", flat=True)) == {OTHER}


@pytest.mark.django_db
def test_what_runs_in_the_name_of_a_process_that_does_not_know_of_it_ends() -> None:
    now = clock.now()
    row = build.generation(state="running", home=HOME, lease_owner=HOME, lease_until=now - timedelta(seconds=1))
    build.seat(generation=row, lease_owner=HOME)
    lease.renew(HOME, [], [], now)
    lease.reap(now, frozenset({HOME}))
    row.refresh_from_db()
    assert row.state == "cancelled"
    assert not Seat.objects.exists()


@pytest.mark.django_db
def test_the_heartbeat_keeps_held_seats_of_its_owner() -> None:
    placement = warm()
    hold({placement.model_id: 1})
    hold({placement.model_id: 1}, OTHER)
    now = clock.now() + timedelta(seconds=20)
    lease.renew(HOME, [], [], now)
    until = dict(Seat.objects.values_list("lease_owner", "lease_until"))
    assert until[HOME] == now + leases.LEASE
    assert until[OTHER] < now + leases.LEASE


@pytest.mark.django_db
def test_a_place_in_the_queue_is_that_of_the_turn_and_says_what_is_loaded_and_how_far() -> None:
    model = build.model(key="maker/large")
    now = clock.now()
    late = build.generation(model=model, turn_at=now + timedelta(minutes=2), decision={"waits": "no room\n" + "x" * 999})
    soon = build.generation(model=model, turn_at=now)
    build.generation()
    told = place.places([late.pk, soon.pk])
    assert told[soon.pk] == "place 1 of 2: waits for a plan"
    assert told[late.pk].startswith("place 2 of 2: no room")
    assert len(told[late.pk]) < 300
    build.placement(model=model, state="loading", server=build.server(name="mac"))
    assert "maker/large loads on mac, about " in place.places([late.pk])[late.pk]
    assert queue.cancel(late.pk, now, "no")
    assert place.places([late.pk]) == {}
