"""A newer version takes the place of a model."""

from datetime import timedelta
from typing import Any

import pytest

from cluster import plan, queue, swap
from cluster.logic.request import Request
from cluster.models import Generation, LanguageModel
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db

HELLO = Request(messages=[{"role": "user", "content": "Hello?"}])


def pair(**over: Any) -> tuple[LanguageModel, LanguageModel]:
    """Two versions on the disk of one server, the older one loaded."""
    server = build.server(name="mac-1")
    old, new = build.model(key="maker/old"), build.model(key="maker/new", **over)
    for model in (old, new):
        build.offer(server=server, model=model)
    build.placement(server=server, model=old)
    return old, new


def submitted(model: str, pin: str = "") -> LanguageModel:
    """Queue a request; returns the model that it waits for."""
    return Generation.objects.get(pk=queue.submit(model, HELLO, caller="test", now=clock.now(), cache=False, pin=pin)).model


def loaded(model: LanguageModel, **over: Any) -> None:
    build.placement(**{"server": model.offers.get().server, "model": model} | over)


def test_until_the_successor_is_loaded_the_old_model_answers() -> None:
    old, new = pair()
    assert not swap.switch(clock.now())
    assert swap.swap(old, new, clock.now())
    assert not swap.swap(old, new, clock.now()), "it is on its way"
    assert swap.switch(clock.now())
    assert submitted("maker/old") == old
    loaded(new, state="loading")
    swap.switch(clock.now())
    assert submitted("maker/old") == old


def test_once_it_is_loaded_everything_goes_to_the_successor_also_what_waits() -> None:
    old, new = pair()
    waiting = [build.generation(model=old) for _ in range(3)]
    running = build.generation(state="running", model=old)
    swap.swap(old, new, clock.now())
    loaded(new)
    assert swap.switch(clock.now()), "one request is still under way"
    assert {Generation.objects.get(pk=each.pk).model for each in waiting} == {new}
    running.refresh_from_db()
    assert running.model == old
    assert submitted("maker/old") == new
    assert submitted("old") == new, "whatever it was called"


def test_a_successor_on_a_server_that_is_not_well_does_not_take_over() -> None:
    old, new = pair()
    swap.swap(old, new, clock.now())
    loaded(new)
    for over in ({"state": "offline"}, {"draining": True}, {"enabled": False}):
        server = new.offers.get().server
        type(server).objects.filter(pk=server.pk).update(**{"state": "online", "draining": False, "enabled": True} | over)
        swap.switch(clock.now())
        assert submitted("maker/old") == old, over


def test_a_request_for_the_old_model_that_comes_in_late_follows() -> None:
    old, new = pair()
    swap.swap(old, new, clock.now())
    loaded(new)
    swap.switch(clock.now())
    late = build.generation(model=old, request_hash="abc")
    assert plan.decide(build.policy(), clock.now()).seats == (), "the old model gets no more seats"
    swap.switch(clock.now())
    late.refresh_from_db()
    assert (late.model, late.request_hash) == (new, "")
    assert [seat.model_id for seat in plan.decide(build.policy(), clock.now()).seats] == [new.pk]


def test_what_is_pinned_to_a_server_without_the_successor_stays_with_the_old_model() -> None:
    old, new = pair()
    other = build.server(name="mac-2")
    build.offer(server=other, model=old)
    pinned = build.generation(model=old, pin=other)
    swap.swap(old, new, clock.now())
    loaded(new)
    swap.switch(clock.now())
    pinned.refresh_from_db()
    assert pinned.model == old
    assert submitted("maker/old", pin="mac-2") == old
    assert submitted("maker/old", pin="mac-1") == new
    build.placement(server=other, model=old)
    seats = plan.decide(build.policy(), clock.now()).seats
    assert {(seat.model_id, seat.server_id) for seat in seats} == {(old.pk, other.pk), (new.pk, new.offers.get().server_id)}


def test_the_planner_loads_the_successor_as_if_somebody_waited_for_it() -> None:
    policy = build.policy(preload=False)
    old, new = pair()
    assert plan.decide(policy, clock.now()).loads == ()
    swap.swap(old, new, clock.now())
    (load,) = plan.decide(policy, clock.now()).loads
    assert (load.model_id, load.evict, load.preload) == (new.pk, (), False)
    loaded(new, state="loading")
    assert plan.decide(policy, clock.now()).loads == ()


def test_after_the_switch_the_old_model_leaves_as_soon_as_it_is_idle_and_not_before() -> None:
    policy = build.policy(preload=False)
    old, new = pair()
    swap.swap(old, new, clock.now())
    loaded(new)
    assert plan.decide(policy, clock.now()).unloads == (), "it still answers"
    seat = build.seat(placement=old.placements.get())
    swap.switch(clock.now())
    assert plan.decide(policy, clock.now()).unloads == ()
    seat.delete()
    (unload,) = plan.decide(policy, clock.now()).unloads
    assert unload.placement_id == old.placements.get().pk


def test_what_was_learned_of_the_demand_goes_with_it() -> None:
    old, new = pair()
    LanguageModel.objects.filter(pk=old.pk).update(rate=2.0, usual=1.0)
    swap.swap(old, new, clock.now())
    loaded(new)
    swap.switch(clock.now())
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.rate, old.usual, new.rate, new.usual) == (0.0, 0.0, 2.0, 1.0)


def test_an_undone_swap_lets_the_old_model_answer_again() -> None:
    old, new = pair()
    swap.swap(old, new, clock.now())
    loaded(new)
    swap.switch(clock.now())
    assert swap.undo(old)
    assert not swap.undo(old)
    assert submitted("maker/old") == old
    assert plan.decide(build.policy(preload=False), clock.now()).unloads == ()


def test_a_swap_settles_and_is_not_looked_at_often_any_more() -> None:
    old, new = pair()
    swap.swap(old, new, clock.now())
    loaded(new)
    assert swap.switch(clock.now())
    assert not swap.switch(clock.now() + swap.SETTLING + timedelta(seconds=1))


def test_versions_follow_each_other() -> None:
    old, new = pair()
    newest = build.offer(server=new.offers.get().server, model=build.model(key="maker/newest")).model
    for one, other in ((old, new), (new, newest)):
        swap.swap(LanguageModel.objects.get(pk=one.pk), other, clock.now())
        loaded(other)
        swap.switch(clock.now())
    assert submitted("maker/old") == newest
    assert submitted("maker/new") == newest


def test_a_swap_that_cannot_be_is_refused_with_the_reason() -> None:
    old, new = pair()
    with pytest.raises(swap.SwapRefused, match="its own place"):
        swap.swap(old, old, clock.now())
    with pytest.raises(swap.SwapRefused, match="No enabled server has maker/nowhere"):
        swap.swap(old, build.model(key="maker/nowhere"), clock.now())
    huge = build.offer(server=new.offers.get().server, model=build.model(key="maker/huge", size_gb=400)).model
    with pytest.raises(swap.SwapRefused, match="needs 400 GB"):
        swap.swap(old, huge, clock.now())
    swap.swap(old, new, clock.now())
    old.refresh_from_db()
    with pytest.raises(swap.SwapRefused, match="at once or in the end"):
        swap.swap(new, old, clock.now())
    loaded(new)
    swap.switch(clock.now())
    old.refresh_from_db()
    other = build.offer(server=new.offers.get().server, model=build.model(key="maker/other")).model
    with pytest.raises(swap.SwapRefused, match="already been replaced by maker/new"):
        swap.swap(old, other, clock.now())
    with pytest.raises(swap.SwapRefused, match="has itself been replaced"):
        swap.swap(other, old, clock.now())


@pytest.mark.parametrize(
    ("name", "meant"), [("maker/new", "maker/new"), (" Maker/NEW ", "maker/new"), ("new", "maker/new"), ("the-new-one", "maker/new")]
)
def test_models_are_named_as_people_name_them(name: str, meant: str) -> None:
    pair(aliases=["the-new-one"])
    assert swap.named(name).key == meant


def test_a_name_that_means_no_model_or_several_is_refused() -> None:
    pair()
    build.offer(model=build.model(key="other/new"))
    with pytest.raises(swap.UnknownModel, match="The servers have: maker/old, maker/new, other/new"):
        swap.named("maker/newer")
    with pytest.raises(swap.UnknownModel, match="may mean maker/new, other/new"):
        swap.named("new")
    assert LanguageModel.objects.count() == 3, "asking makes no model"
