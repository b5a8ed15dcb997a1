"""What stays loaded, what is usual at this time of the day, and what came of guesses; told to the planner by rows."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from cluster import plan, queue, serve, warm
from cluster.models import ClusterPolicy, LanguageModel, Offer, Placement
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
HOUR_S = 3600.0


def usual(model: LanguageModel) -> float:
    return LanguageModel.objects.get(pk=model.pk).usual


def asked(model: LanguageModel, at: datetime, n: int = 1, **over: Any) -> None:
    for _ in range(n):
        build.generation(**{"model": model, "state": "done", "queued_at": at, "ended_at": at} | over)


# --- what is usual -----------------------------------------------------------------------------------------------
def test_what_was_asked_at_this_time_on_other_days_is_usual() -> None:
    build.policy()
    model, other, now = build.model(), build.model(usual=3.0), clock.now()
    asked(model, now - DAY, 4)
    asked(model, now - DAY + timedelta(minutes=29), 4)
    asked(model, now - DAY - timedelta(hours=6), 50)
    asked(model, now - timedelta(minutes=1), 50)
    assert warm.recount(now)
    assert usual(model) == pytest.approx(8 / HOUR_S)
    assert usual(other) == 0.0, "it is not asked for at this time"


def test_days_count_less_the_longer_ago_they_are_and_none_before_the_first_request() -> None:
    build.policy()
    often, once, now = build.model(), build.model(), clock.now()
    asked(often, now - DAY, 10)
    asked(once, now - 3 * DAY, 10)
    warm.recount(now)
    weights = 1 + 0.8 + 0.64
    assert usual(often) == pytest.approx(10 / weights / HOUR_S)
    assert usual(once) == pytest.approx(6.4 / weights / HOUR_S)


def test_answers_that_no_model_had_to_write_are_not_counted() -> None:
    build.policy()
    model, now = build.model(), clock.now()
    asked(model, now - DAY)
    asked(model, now - DAY, cached=True)
    asked(model, now - DAY, leader=build.generation(model=model))
    warm.recount(now)
    assert usual(model) == pytest.approx(1 / HOUR_S)


def test_a_week_and_more_ago_is_forgotten() -> None:
    build.policy()
    model, now = build.model(), clock.now()
    asked(model, now - 8 * DAY, 10)
    asked(model, now - 7 * DAY, 1)
    warm.recount(now)
    assert 0 < usual(model) < 1 / HOUR_S


def test_one_engine_counts_and_not_again_for_some_minutes() -> None:
    build.policy()
    now = clock.now()
    assert [warm.recount(now) for _ in range(3)] == [True, False, False]
    assert not warm.recount(now + warm.COUNT_EVERY - timedelta(seconds=1))
    assert warm.recount(now + warm.COUNT_EVERY)


def test_nothing_is_counted_where_nothing_is_to_be_loaded_early() -> None:
    build.policy(preload=False)
    assert not warm.recount(clock.now())


def test_requests_for_a_replaced_model_are_usual_for_its_successor() -> None:
    build.policy()
    now, new = clock.now(), build.model()
    old = build.model(successor=new, replaced_at=now)
    asked(old, now - DAY, 3)
    asked(new, now - DAY, 2)
    warm.recount(now)
    assert usual(old) == 0.0
    assert usual(new) == pytest.approx(5 / HOUR_S)


# --- mentions ----------------------------------------------------------------------------------------------------
def test_a_mention_is_noted_after_the_commit_and_not_more_often_than_it_tells_something_new(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    model, now = build.offer(model=build.model(key="google/gemma-3-27b")).model, clock.now()
    with django_capture_on_commit_callbacks(execute=True):
        queue.expect(["gemma-3-27b", "Google/Gemma-3-27b"], now)
        model.refresh_from_db()
        assert model.expected_at is None
    model.refresh_from_db()
    assert model.expected_at == now
    for later, noted in ((now + timedelta(seconds=1), now), (now + timedelta(seconds=9), now + timedelta(seconds=9))):
        with django_capture_on_commit_callbacks(execute=True):
            queue.expect(["google/gemma-3-27b"], later)
        model.refresh_from_db()
        assert model.expected_at == noted


def test_a_mention_of_who_speaks_with_no_model_or_several_is_nothing(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    build.offer(model=build.model(key="one/gemma"))
    build.offer(model=build.model(key="two/gemma"))
    with django_capture_on_commit_callbacks(execute=True):
        queue.expect(["", "gemma"], clock.now())
        queue.expect([], clock.now())
    assert not LanguageModel.objects.filter(expected_at__isnull=False).exists()


def test_the_planner_loads_what_was_mentioned_into_idle_room_only() -> None:
    policy = build.policy(preload=True)
    server, model = build.server(budget_gb=60), build.model(expected_at=clock.now(), size_gb=20, rate=0.0, usual=0.01)
    build.offer(server=server, model=model)
    (load,) = plan.decide(policy, clock.now()).loads
    assert (load.model_id, load.server_id, load.evict, load.preload) == (model.pk, server.pk, (), True)
    build.placement(server=server, gb=40)
    decision = plan.decide(policy, clock.now())
    assert (decision.loads, decision.unloads) == ((), ()), "nothing leaves for a guess"


# --- kept --------------------------------------------------------------------------------------------------------
def test_what_is_kept_is_loaded_when_there_is_room_and_never_leaves() -> None:
    policy = build.policy(preload=False, keep_models_loaded=False, unload_delay_s=1, min_residency_s=0)
    server = build.server(budget_gb=40)
    offer = build.offer(server=server, model=build.model(size_gb=20))
    assert plan.decide(policy, clock.now()).loads == ()
    assert warm.keep([offer.pk], on=True) == 1
    (load,) = plan.decide(policy, clock.now()).loads
    assert (load.model_id, load.server_id, load.preload) == (offer.model_id, server.pk, False)
    long_ago = clock.now() - timedelta(hours=1)
    build.placement(server=server, model=offer.model, gb=20, loaded_at=long_ago, used_at=long_ago)
    other = build.offer(server=server, model=build.model(size_gb=25))
    build.generation(model=other.model)
    decision = plan.decide(policy, clock.now())
    assert (decision.loads, decision.unloads) == ((), ())
    warm.keep([offer.pk], on=False)
    decision = plan.decide(policy, clock.now())
    assert [load.model_id for load in decision.loads] == [other.model_id]


def test_room_for_what_is_kept_is_not_made_by_evicting() -> None:
    policy = build.policy(min_residency_s=0)
    server = build.server(budget_gb=40)
    build.placement(server=server, gb=30)
    offer = build.offer(server=server, model=build.model(size_gb=20), pinned=True)
    assert plan.decide(policy, clock.now()).loads == ()
    Placement.objects.all().delete()
    assert [load.model_id for load in plan.decide(policy, clock.now()).loads] == [offer.model_id]


def test_keeping_tells_how_many_it_changed() -> None:
    one, two = build.offer(), build.offer(pinned=True)
    assert warm.keep([one.pk, two.pk], on=True) == 1
    assert warm.keep([one.pk, two.pk], on=False) == 2
    assert not Offer.objects.filter(pinned=True).exists()


def test_a_plan_is_made_now_and_then_though_nothing_waits() -> None:
    build.policy()
    build.offer(pinned=True)
    now = clock.now()
    assert len(serve.reserve(1, 10, now).loads) == 1
    Placement.objects.all().delete()
    assert serve.reserve(1, 10, now + timedelta(seconds=1)).loads == ()
    assert len(serve.reserve(1, 10, now + plan.REST + timedelta(seconds=1)).loads) == 1


# --- what came of it ---------------------------------------------------------------------------------------------
def test_guesses_are_judged_by_whether_they_were_asked_for() -> None:
    now = clock.now()
    build.placement(preloaded=True, served=True, gb=10, created_at=now)
    build.placement(preloaded=True, served=True, state="gone", gb=10, created_at=now)
    build.placement(preloaded=True, state="gone", gb=7, created_at=now)
    build.placement(preloaded=True, state="failed", gb=50, created_at=now)
    build.placement(preloaded=True, state="loading", gb=5, created_at=now)
    build.placement(preloaded=True, gb=5, created_at=now)
    build.placement(gb=99, served=True, created_at=now)
    build.placement(preloaded=True, gb=99, created_at=now - 2 * DAY)
    found = warm.report(now - DAY)
    assert (found.preloads, found.hits, found.misses, found.open) == (5, 2, 1, 2)
    assert (found.loaded_gb, found.wasted_gb) == (37, 7)
    assert found.hit_rate == pytest.approx(2 / 3)


def test_without_a_guess_there_is_no_hit_rate() -> None:
    found = warm.report(clock.now() - DAY)
    assert (found.preloads, found.hit_rate, found.wasted_gb) == (0, None, 0.0)
    assert ClusterPolicy.objects.count() == 0, "looking writes nothing"
