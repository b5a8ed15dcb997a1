"""What unloads leave in the rows, and which copies are unloaded."""

from datetime import timedelta
from typing import Any

import pytest

from cluster import leave
from cluster.models import Placement, Server
from swwbot_site.lib import clock
from tests import build
from tests.verbs.cluster.helpers import errand, running

pytestmark = pytest.mark.django_db

OWNER = 7


def fresh(placement: Placement) -> Placement:
    return Placement.objects.select_related("server", "model").get(pk=placement.pk)


def test_memory_is_given_back_when_the_instance_is_gone() -> None:
    placement = build.placement(state="unloading")
    assert leave.gone(errand(placement))
    assert not leave.gone(errand(placement))
    assert (fresh(placement).state, fresh(placement).lease_owner) == ("gone", None)


def test_what_would_not_go_stays_and_another_one_is_tried_first() -> None:
    before, placement = clock.now(), build.placement(state="unloading", used_at=None)
    leave.stayed(errand(placement), "the server still lists it")
    row = fresh(placement)
    assert (row.state, row.server.listed_at) == ("loaded", None)
    assert row.used_at is not None
    assert row.used_at >= before


def test_an_unload_that_somebody_else_settled_is_left_alone() -> None:
    placement = build.placement(state="failed")
    assert not leave.gone(errand(placement))
    leave.stayed(errand(placement), "no")
    assert fresh(placement).state == "failed"


# --- copies ------------------------------------------------------------------------------------------------------
def twice(server: Server | None = None, **over: Any) -> list[Placement]:
    """A model that is there twice; the second copy was loaded a minute later."""
    server, model, now = server or build.server(), build.model(), clock.now()
    build.offer(server=server, model=model)
    first = build.placement(server=server, model=model, adopted=True, loaded_at=now - timedelta(minutes=2))
    second = {"instance_id": f"{model.key}:2", "adopted": True, "loaded_at": now - timedelta(minutes=1)}
    return [first, build.placement(server=server, model=model, **second | over)]


def leaving(server: Server) -> list[str]:
    return [order.instance_id for order in leave.duplicates(server.pk, OWNER, clock.now())]


def test_the_younger_of_two_idle_copies_leaves_with_a_lease() -> None:
    old, young = twice()
    assert leaving(old.server) == [young.instance_id]
    assert (fresh(old).state, fresh(young).state, fresh(young).lease_owner) == ("loaded", "unloading", OWNER)
    assert leaving(old.server) == [], "it leaves once"


def test_the_copy_that_serves_stays() -> None:
    old, young = twice()
    running(young)
    assert leaving(old.server) == [old.instance_id]


def test_while_both_serve_both_stay() -> None:
    old, young = twice()
    running(old)
    running(young)
    assert leaving(old.server) == []


def test_while_somebody_waits_for_the_model_both_stay() -> None:
    old, _ = twice()
    waiting = build.generation(model=old.model)
    assert leaving(old.server) == []
    waiting.delete()
    assert len(leaving(old.server)) == 1


def test_a_pinned_copy_stays() -> None:
    old, young = twice(pinned=True)
    assert leaving(old.server) == [old.instance_id]
    Placement.objects.update(state="loaded", lease_owner=None, lease_until=None, pinned=True)
    assert leaving(young.server) == []


def test_a_model_that_is_on_two_servers_is_there_once() -> None:
    model = build.model()
    for _ in range(2):
        assert leaving(build.placement(model=model).server) == []


@pytest.mark.parametrize("dialect", ["lmstudio-v0", "openai", "llamacpp", "vllm"])
def test_where_nothing_can_be_unloaded_nothing_is_tried(dialect: str) -> None:
    old, _ = twice(build.server(detected=dialect))
    assert leaving(old.server) == []
