"""What a plan is made from: rows, and what an engine remembers; and what has changed by the time it is carried out."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from cluster import arrivals, plan, seat, serve
from cluster.catalogue import REMEMBERED, Catalogue
from cluster.logic.balancing import STRATEGIES, Strategy
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Seat, Server
from swwbot_site.lib import clock, hooks
from tests import build
from tests.verbs.cluster.helpers import running

pytestmark = pytest.mark.django_db

OWNER = 17
LATER = REMEMBERED + timedelta(seconds=1)


def reserve(now: datetime | None = None, **over: Any) -> Any:
    return serve.reserve(OWNER, 100, now or clock.now(), **over)


# --- demand ------------------------------------------------------------------------------------------------------
def test_demand_says_how_many_have_a_deadline_and_which() -> None:
    model, now = build.model(), clock.now()
    for seconds in (None, 30, 300):
        build.generation(model=model, deadline=now + timedelta(seconds=seconds) if seconds else None)
    (need,) = plan.demand(now)
    assert (need.waiting, need.timed) == (3, 2)
    assert (need.deadline, need.latest) == (now.timestamp() + 30, now.timestamp() + 300)


def test_a_model_has_as_many_slots_as_ever_while_its_server_comes_back_gradually() -> None:
    now = clock.now()
    place = build.placement(server=build.server(returned_at=now), slots=4)
    state = plan.read(now, build.policy(return_s=60), Catalogue())
    assert [p.slots for p in state.all()] == [1]
    assert state.models[place.model_id].slots == 4


# --- money -------------------------------------------------------------------------------------------------------
def paid(server: Server, at: datetime, tokens: int = 1_000_000, **over: Any) -> Generation:
    return build.generation(state="done", server=server, ended_at=at, prompt_tokens=tokens, completion_tokens=0, **over)


def test_a_server_that_has_spent_its_day_gets_nothing_until_midnight() -> None:
    policy, today = build.policy(), clock.now().replace(hour=12)
    place = build.placement(server=build.server(name="cloud", price_in=3.0, daily_budget=5.0))
    build.offer(server=place.server, model=place.model)
    waiting = build.generation(model=place.model, queued_at=today)
    for at, over in ((today - timedelta(days=1), {}), (today, {}), (today, {"cached": True})):
        paid(place.server, at, **over)
    assert len(plan.decide(policy, today).seats) == 1
    paid(place.server, today)
    assert not plan.decide(policy, today).seats
    assert not reserve(today).tickets
    waiting.refresh_from_db()
    assert "cloud has spent its budget of the day (6.00 of 5.00)" in waiting.decision["waits"]
    assert len(plan.decide(policy, today + timedelta(days=1)).seats) == 1


def test_what_was_spent_is_remembered_for_some_seconds() -> None:
    policy, known, today = build.policy(), Catalogue(), clock.now().replace(hour=12)
    place = build.placement(server=build.server(price_in=3.0, daily_budget=5.0))
    build.generation(model=place.model)
    assert plan.decide(policy, today, catalogue=known).seats
    paid(place.server, today, tokens=2_000_000)
    assert plan.decide(policy, today, catalogue=known).seats
    assert not plan.decide(policy, today + LATER, catalogue=known).seats


# --- strategies --------------------------------------------------------------------------------------------------
class Perverse:
    @hooks.hookimpl
    def cluster_strategies(self) -> Mapping[str, Strategy]:
        return {"the-highest-id": Strategy(seat=lambda c: (-c.placement_id,), load=STRATEGIES["expected-time"].load)}


def test_the_strategy_of_a_plugin_decides() -> None:
    model = build.model()
    first, last = build.placement(model=model), build.placement(model=model)
    build.generation(model=model)
    plugin = Perverse()
    hooks.manager.register(plugin)
    try:
        chosen = plan.decide(build.policy(strategy="the-highest-id"), clock.now()).seats
    finally:
        hooks.manager.unregister(plugin)
    assert [given.placement_id for given in chosen] == [last.pk]
    assert [given.placement_id for given in plan.decide(build.policy(strategy="round-robin"), clock.now()).seats] == [first.pk]


# --- what an engine remembers ------------------------------------------------------------------------------------
def test_what_is_impossible_by_memory_is_looked_up_before_it_fails() -> None:
    known, now, model = Catalogue(), clock.now(), build.model()
    build.server()
    known.refresh(now)
    build.generation(model=model)
    offer = build.offer(model=model)
    assert [errand.key for errand in reserve(now + timedelta(seconds=1), catalogue=known).loads] == [offer.key]


def test_a_server_and_a_model_that_were_deleted_are_soon_forgotten_and_disturb_no_plan() -> None:
    known, now, policy = Catalogue(), clock.now(), build.policy()
    stays, goes = build.offer(pinned=True), build.offer(pinned=True)
    lone = build.offer(server=stays.server, model=build.model(), pinned=True)
    known.refresh(now)
    Server.objects.filter(pk=goes.server_id).delete()
    LanguageModel.objects.filter(pk=lone.model_id).delete()
    chosen = plan.decide(policy, now, catalogue=known)
    assert [load.model_id for load in chosen.loads] == [stays.model_id]


def test_what_was_just_marked_to_stay_is_not_evicted_by_an_engine_that_does_not_know_yet() -> None:
    known, now = Catalogue(), clock.now()
    old = now - timedelta(hours=1)
    held = build.placement(server=build.server(budget_gb=40), gb=30, loaded_at=old, used_at=old)
    keep = build.offer(server=held.server, model=held.model)
    wanted = build.offer(server=held.server, model=build.model(size_gb=30))
    build.generation(model=wanted.model)
    known.refresh(now)
    Offer.objects.filter(pk=keep.pk).update(pinned=True)
    assert plan.decide(build.policy(), now, catalogue=known).loads[0].evict == (held.pk,)
    assert not reserve(now, catalogue=known).unloads
    assert Placement.objects.get().state == "loaded"


# --- how often a model is asked for ------------------------------------------------------------------------------
def rate(model: LanguageModel) -> float:
    model.refresh_from_db()
    return model.rate


def counted(now: datetime) -> ClusterPolicy:
    policy = ClusterPolicy.current()
    arrivals.count(policy, now)
    return policy


def test_a_queue_that_gathered_while_no_engine_ran_is_no_rush() -> None:
    model, now = build.model(), clock.now()
    counted(now - timedelta(hours=2))
    for n in range(72):
        build.generation(model=model, queued_at=now - timedelta(seconds=100 * n))
    counted(now)
    assert rate(model) == pytest.approx(0.01, rel=0.05)


def test_a_clock_that_was_wrong_does_not_stop_the_counting() -> None:
    model, now = build.model(), clock.now()
    counted(now + timedelta(seconds=5))
    build.generation(model=model, queued_at=now - timedelta(seconds=0.5))
    counted(now)
    assert rate(model) == 0, "another machine's clock is a little ahead"
    counted(now + timedelta(hours=1))
    counted(now)
    assert rate(model) > 0


def test_what_was_loaded_for_a_guess_does_not_make_disks_scarce() -> None:
    now = clock.now()
    begun = {"created_at": now - timedelta(seconds=60), "loaded_at": now}
    build.placement(preloaded=True, **begun)
    assert counted(now).disk_busy == 0
    build.placement(server=Server.objects.get(), model=build.model(), **begun)
    assert counted(now + timedelta(seconds=2)).disk_busy == pytest.approx(60 / 300, abs=0.01)


# --- between the plan and its reservations -----------------------------------------------------------------------
def test_rows_that_changed_since_the_plan_give_fewer_seats_and_no_harm() -> None:
    model, now, policy = build.model(), clock.now(), build.policy()
    gone, stays = build.placement(model=model, slots=2), build.placement(model=model, slots=2)
    rows = [build.generation(model=model) for _ in range(4)]
    decision = plan.decide(policy, now)
    assert sum(given.n for given in decision.seats) == 4
    Placement.objects.filter(pk=gone.pk).update(state="gone", ended_at=now)
    Generation.objects.filter(pk=rows[0].pk).update(state="cancelled", ended_at=now)
    tickets = seat.seat(decision, policy, OWNER, now).tickets
    assert {(t.generation_id, t.placement_id) for t in tickets} == {(rows[1].pk, stays.pk), (rows[2].pk, stays.pk)}
    assert set(Generation.objects.values_list("pk", "state")) >= {(rows[0].pk, "cancelled"), (rows[3].pk, "queued")}


def test_a_seat_that_somebody_took_to_ask_twice_is_not_given_again() -> None:
    place, now, policy = build.placement(slots=2), clock.now(), build.policy(hedge_after_s=1.0)
    for _ in range(2):
        build.generation(model=place.model)
    decision = plan.decide(policy, now)
    running(place)
    assert len(seat.seat(decision, policy, OWNER, now).tickets) == 1
    assert Seat.objects.count() == 2


def test_a_server_that_was_removed_since_it_was_remembered_gets_no_load() -> None:
    known, now = Catalogue(), clock.now()
    offer = build.offer()
    build.generation(model=offer.model)
    known.refresh(now)
    Server.objects.all().delete()
    assert not reserve(now, catalogue=known).loads
    assert Generation.objects.get().state == "failed"


# --- why somebody waits ------------------------------------------------------------------------------------------
def waits() -> list[str | None]:
    return [row.decision.get("waits") for row in Generation.objects.order_by("pk")]


def test_a_reason_is_written_once_for_all_and_later_for_those_who_came_since() -> None:
    told: dict[seat.Key, seat.Told] = {}
    now = clock.now()
    offer = build.offer(server=build.server(state="offline", state_reason="refused"))
    build.generation(model=offer.model)
    reserve(now, told=told)
    build.generation(model=offer.model)
    reserve(now + seat.REPEAT / 2, told=told)
    assert [why is not None for why in waits()] == [True, False]
    reserve(now + 2 * seat.REPEAT, told=told)
    assert waits() == [f"{offer.server} is offline (refused)"] * 2


def test_another_reason_is_written_at_once_unless_very_many_wait() -> None:
    now = clock.now()
    for extra, at_once in ((0, True), (seat.FEW, False)):
        told: dict[seat.Key, seat.Told] = {}
        offer = build.offer(server=build.server(state="offline", state_reason="refused"))
        rows = [build.generation(model=offer.model) for _ in range(1 + extra)]
        reserve(now, told=told)
        Server.objects.filter(pk=offer.server_id).update(state_reason="no route")
        reserve(now + timedelta(seconds=0.1), told=told)
        rows[0].refresh_from_db()
        assert ("no route" in rows[0].decision["waits"]) is at_once


def test_of_very_many_reasons_some_are_written_with_each_plan_until_all_are() -> None:
    told: dict[seat.Key, seat.Told] = {}
    now, host = clock.now(), build.server(state="offline")
    for _ in range(seat.AT_ONCE + 5):
        build.generation(model=build.offer(server=host).model)
    reserve(now, told=told)
    assert sum(why is not None for why in waits()) == seat.AT_ONCE
    reserve(now, told=told)
    assert all(waits())
