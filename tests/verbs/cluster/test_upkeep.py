"""What people do with servers and with what is in their memory."""

from typing import Any

import pytest

from cluster import plan, queue, upkeep
from cluster.models import ClusterPolicy, Generation, Placement, Server
from cluster.upkeep import NotLoadable, NotUnloadable
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build

pytestmark = pytest.mark.django_db


def offered(**over: Any) -> Any:
    """A model of 17 GB on the disk of a server with 96 GB."""
    return build.offer(server=build.server(**over), model=build.model())


def decided() -> Any:
    return plan.decide(ClusterPolicy.current(), clock.now())


def test_a_server_is_switched_once_and_looked_at_when_it_is_on_again() -> None:
    server = build.server()
    assert (upkeep.switch([server.pk], "ann", on=False), upkeep.switch([server.pk], "ann", on=False)) == (1, 0)
    assert upkeep.switch([server.pk], "ann", on=True) == 1
    server.refresh_from_db()
    assert (server.enabled, server.listed_at) == (True, None)


def test_a_draining_server_gets_nothing_new_and_keeps_what_it_has() -> None:
    seat = build.seat()
    server, model = seat.placement.server, seat.placement.model
    build.offer(server=server, model=model)
    assert upkeep.drain([server.pk], "ann", on=True) == 1
    build.generation(model=model)
    assert decided().seats == ()
    assert Generation.objects.filter(pk=seat.generation_id, state="running").exists()
    assert upkeep.drain([server.pk], "ann", on=True) == 0
    assert upkeep.drain([server.pk], "ann", on=False) == 1
    assert decided().seats


def test_only_enabled_servers_are_looked_at_whatever_pause_they_have() -> None:
    one, off = build.server(retry_at=clock.now()), build.server(enabled=False)
    assert upkeep.look([one.pk, off.pk]) == 1
    assert Server.objects.filter(retry_at__isnull=True, listed_at__isnull=True).get() == one


def test_a_load_is_a_request_of_one_token_that_only_this_server_may_answer() -> None:
    offer = offered(name="Attic")
    build.offer(server=build.server(), model=offer.model)
    row = Generation.objects.get(pk=upkeep.load(offer.pk, "ann"))
    assert (row.state, row.pin, row.model, row.request["max_tokens"], row.caller, row.priority) == (
        "queued",
        offer.server,
        offer.model,
        1,
        "load:ann",
        0,
    )
    (load,) = decided().loads
    assert (load.server_id, load.model_id) == (offer.server_id, offer.model_id)


@pytest.mark.parametrize(
    ("over", "why"), [({"enabled": False}, "is disabled"), ({"draining": True}, "is draining")], ids=["disabled", "draining"]
)
def test_nothing_is_loaded_where_nothing_may_run(over: dict[str, Any], why: str) -> None:
    with pytest.raises(NotLoadable, match=why):
        upkeep.load(offered(**over).pk, "ann")
    assert not Generation.objects.exists()


@pytest.mark.parametrize("state", ["loading", "loaded", "unloading"])
def test_what_is_in_memory_is_not_loaded_again(state: str) -> None:
    offer = offered()
    build.placement(server=offer.server, model=offer.model, state=state)
    with pytest.raises(NotLoadable, match=f"is {state} on"):
        upkeep.load(offer.pk, "ann")


def test_an_offer_that_is_gone_and_a_model_that_answers_nothing_are_not_loaded() -> None:
    with pytest.raises(NotLoadable, match="does not list"):
        upkeep.load(4711, "ann")
    with pytest.raises(NotLoadable, match="embeddings"):
        upkeep.load(build.offer(model=build.model(kind="embedding")).pk, "ann")


def test_what_was_told_to_leave_leaves_once_it_is_idle_and_nobody_waits_for_it() -> None:
    seat = build.seat()
    row = seat.placement
    build.offer(server=row.server, model=row.model)
    upkeep.unload(row.pk, "ann")
    assert decided().unloads == (), "it is busy"
    queue.cancel(seat.generation_id, clock.now(), "over")
    waiting = build.generation(model=row.model)
    assert decided().unloads == (), "somebody waits for it"
    queue.cancel(waiting.pk, clock.now(), "over")
    assert [(one.placement_id, one.why) for one in decided().unloads] == [(row.pk, "somebody told it to leave")]
    assert Event.objects.filter(kind="placement.dismissed").count() in (0, 1)


@pytest.mark.parametrize("kept", ["pinned", "kept"])
def test_what_is_to_stay_does_not_leave(kept: str) -> None:
    row = build.placement(pinned=kept == "pinned")
    build.offer(server=row.server, model=row.model, pinned=kept == "kept")
    with pytest.raises(NotUnloadable, match="is to stay loaded"):
        upkeep.unload(row.pk, "ann")
    row.refresh_from_db()
    assert not row.dismissed


@pytest.mark.parametrize("state", ["loading", "unloading", "gone", "failed"])
def test_only_what_is_loaded_can_leave(state: str) -> None:
    with pytest.raises(NotUnloadable):
        upkeep.unload(build.placement(state=state).pk, "ann")


def test_pinning_takes_back_that_it_is_to_leave() -> None:
    row = build.placement()
    upkeep.unload(row.pk, "ann")
    assert (upkeep.pin(row.pk, "ann", on=True), upkeep.pin(row.pk, "ann", on=True)) == (True, False)
    assert Placement.objects.filter(pk=row.pk, pinned=True, dismissed=False).exists()
    assert decided().unloads == ()
    assert upkeep.pin(row.pk, "ann", on=False)
    with pytest.raises(NotUnloadable, match="not in any memory"):
        upkeep.pin(build.placement(state="gone").pk, "ann", on=True)
