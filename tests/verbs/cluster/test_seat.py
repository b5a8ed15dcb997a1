"""Planning and seating, on rows."""

from datetime import timedelta

import pytest

from cluster import plan, queue, serve
from cluster.logic.order import Orders
from cluster.models import Generation, Placement, Seat
from swwbot_site.lib import clock
from tests import build
from tests.verbs.cluster.helpers import running

pytestmark = pytest.mark.django_db

OWNER = 17


def reserved(capacity: int = 100, owner: int = OWNER) -> Orders:
    return serve.reserve(owner, capacity, clock.now())


def states(model: object) -> list[str]:
    return list(model.objects.order_by("id").values_list("state", flat=True))  # type: ignore[attr-defined]


def test_a_waiting_request_gets_a_seat_on_a_warm_placement() -> None:
    placement = build.placement(instance_id="maker/model:2")
    waiting = build.generation(model=placement.model)
    (ticket,) = reserved().tickets
    waiting.refresh_from_db()
    assert (waiting.state, waiting.lease_owner, waiting.server, waiting.placement) == ("running", OWNER, placement.server, placement)
    assert waiting.decision["server"] == placement.server.name
    assert "warm on" in waiting.decision["why"]
    assert Seat.objects.get().generation == waiting
    assert (ticket.generation_id, ticket.instance_id, ticket.endpoint.url) == (waiting.pk, "maker/model:2", placement.server.url)
    assert ticket.request == waiting.request


def test_the_servers_spelling_comes_first_among_the_names() -> None:
    offer = build.offer(key="Maker/Model-GGUF", model=build.model(key="maker/model", aliases=["other"]))
    placement = build.placement(server=offer.server, model=offer.model)
    build.generation(model=placement.model)
    assert reserved().tickets[0].names == ("Maker/Model-GGUF", "maker/model", "other")


def test_the_most_urgent_get_the_seats_and_then_the_oldest() -> None:
    placement = build.placement(slots=3)
    rows = [build.generation(model=placement.model, priority=p) for p in (50, 99, 0, 50, 50)]
    assert {t.generation_id for t in reserved().tickets} == {rows[2].pk, rows[0].pk, rows[3].pk}


def test_no_more_than_the_slots_and_no_more_than_the_capacity() -> None:
    placement = build.placement(slots=4)
    running(placement)
    for _ in range(6):
        build.generation(model=placement.model)
    assert len(reserved(capacity=2).tickets) == 2
    assert len(reserved().tickets) == 1
    assert not reserved().tickets
    assert Seat.objects.count() == 4


def test_what_waits_for_its_next_attempt_is_left_alone() -> None:
    placement = build.placement()
    build.generation(model=placement.model, not_before=clock.now() + timedelta(seconds=5))
    assert not reserved().tickets


def test_who_failed_on_a_server_is_seated_on_the_other_one_even_if_that_is_slower() -> None:
    model = build.model()
    bad, good = build.placement(model=model), build.placement(model=model)
    build.offer(server=bad.server, model=model, answer_seconds=1)
    build.offer(server=good.server, model=model, answer_seconds=60)
    unlucky, fresh = build.generation(model=model, avoid=bad.server), build.generation(model=model)
    assert {t.generation_id: t.placement_id for t in reserved().tickets} == {unlucky.pk: good.pk, fresh.pk: bad.pk}


def test_who_failed_on_the_only_server_or_on_the_one_it_must_use_is_seated_there_again() -> None:
    model = build.model()
    bad = build.placement(model=model)
    lonely = build.generation(model=model, avoid=bad.server)
    assert [t.generation_id for t in reserved().tickets] == [lonely.pk]
    build.placement(model=model)
    pinned = build.generation(model=model, avoid=bad.server, pin=bad.server)
    assert [(t.generation_id, t.server_id) for t in reserved().tickets] == [(pinned.pk, bad.server_id)]


def test_a_load_reserves_its_memory_and_is_an_errand() -> None:
    offer = build.offer(key="Maker/Model", model=build.model(key="maker/model", size_gb=20, context_length=8192))
    build.generation(model=offer.model)
    (errand,) = reserved().loads
    placement = Placement.objects.get()
    assert (placement.state, placement.gb, placement.lease_owner) == ("loading", 20, OWNER)
    assert "has room" in placement.reason
    assert placement.scores["gain"] > placement.scores["bar"]
    assert (errand.placement_id, errand.key, errand.context_length) == (placement.pk, "Maker/Model", 8192)
    again = reserved()
    assert not again.loads
    assert Generation.objects.get().decision["waits"] == f"maker/model is loading on {offer.server}"


def test_no_load_beyond_the_budget() -> None:
    offer = build.offer(server=build.server(budget_gb=40), model=build.model(size_gb=20))
    build.placement(server=offer.server, gb=17, model=build.model(), pinned=True)
    build.generation(model=offer.model)
    assert not reserved().loads
    assert "pinned" in Generation.objects.get().decision["waits"]


def test_eviction_first_marks_the_victim_and_loads_when_the_room_is_there() -> None:
    server, now = build.server(budget_gb=40), clock.now()
    offer = build.offer(server=server, model=build.model(size_gb=30))
    victim = build.placement(server=server, loaded_at=now - timedelta(hours=1), used_at=now - timedelta(hours=1))
    build.generation(model=offer.model)
    orders = reserved()
    assert [e.placement_id for e in orders.unloads] == [victim.pk]
    assert not orders.loads
    assert states(Placement) == ["unloading"]
    assert reserved() == Orders()
    assert "room for" in Generation.objects.get().decision["waits"]
    victim.refresh_from_db()
    assert (victim.departure["for"], victim.departure["why"]) == (offer.model.key, f"makes room for {offer.model}")
    assert victim.departure["gain"] > victim.departure["bar"] >= victim.departure["cost"]
    Placement.objects.update(state="gone", ended_at=now, lease_until=None)
    assert [e.key for e in reserved().loads] == [offer.key]


def test_a_just_in_time_server_holds_one_model_at_a_time() -> None:
    server, now = build.server(detected="lmstudio-v0"), clock.now()
    busy = build.placement(server=server, loaded_at=now - timedelta(hours=1))
    seat = running(busy)
    offer = build.offer(server=server)
    build.generation(model=offer.model)
    assert not reserved().loads
    seat.delete()
    assert [e.placement_id for e in reserved().unloads] == [busy.pk]
    assert plan.view(build.server(detected="lmstudio-v0", max_models=3), build.policy()).max_models == 3


def test_an_impossible_request_fails_with_its_reason() -> None:
    build.server()
    waiting = build.generation(model=build.model(key="maker/nowhere"))
    assert reserved() == Orders()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error_code) == ("failed", "impossible")
    assert waiting.error.startswith("No server has the model maker/nowhere. Download it")


def test_a_late_request_expires_instead_of_being_seated() -> None:
    placement = build.placement()
    build.generation(model=placement.model, deadline=clock.now() - timedelta(seconds=1))
    assert reserved() == Orders()
    assert queue.expire(clock.now()) == 1
    assert states(Generation) == ["expired"]


def test_idle_models_go_when_the_policy_does_not_keep_them() -> None:
    build.policy(keep_models_loaded=False, unload_delay_s=60)
    old = clock.now() - timedelta(minutes=2)
    unused = build.placement(loaded_at=old, used_at=old)
    build.placement()
    build.placement(server=build.server(detected="openai"), loaded_at=old, used_at=old)
    running(build.placement(loaded_at=old, used_at=old))
    assert [e.placement_id for e in reserved().unloads] == [unused.pk]


@pytest.mark.parametrize("column", ["enabled", "draining"])
def test_a_server_that_is_disabled_or_draining_gets_nothing(column: str) -> None:
    placement = build.placement(server=build.server(**{column: column == "draining"}))
    build.server(state="unknown")
    build.generation(model=placement.model)
    assert not reserved().tickets


def test_one_row_of_demand_for_any_number_of_requests() -> None:
    model, server, now = build.model(), build.server(), clock.now()
    for n in range(30):
        build.generation(model=model, priority=50 + n, pin=server if n % 2 else None, queued_at=now - timedelta(seconds=n))
    build.generation(model=model, state="running")
    build.generation(model=model, not_before=now + timedelta(minutes=1))
    found = {d.pin_id: (d.waiting, d.priority, d.oldest) for d in plan.demand(now)}
    assert found == {None: (15, 50, now.timestamp() - 28), server.pk: (15, 51, now.timestamp() - 29)}
