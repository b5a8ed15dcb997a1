"""Who changes what plans go by rings for a plan, and a look at a server that finds nothing new rings for nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cluster import alter, queue, serve, swap, upkeep, warm
from cluster.models import ClusterPolicy, Generation, Placement
from cluster.reconcile import reconcile
from swwbot_site.lib import clock
from swwbot_site.lib.wake import Channel, waking
from tests import build
from tests.verbs.cluster.helpers import GIB, listed, listing

pytestmark = pytest.mark.django_db

WHO = "somebody"
FOR_PLANS = {Channel.PLAN, Channel.SETTINGS}
"""Either has a plan made."""


def rung(act: Callable[[], object]) -> list[Channel]:
    """The channels that are rung by what is done, in their order."""
    with CaptureQueriesContext(connection) as told:
        act()
    by = {waking(channel): channel for channel in Channel}
    return [by[query["sql"]] for query in told if query["sql"] in by]


def _server() -> Callable[[], object]:
    server = build.server()
    return lambda: alter.server(server.pk, {"weight": 2.0}, WHO)


def _removed() -> Callable[[], object]:
    server = build.server()
    return lambda: alter.remove(server.pk, WHO)


def _model() -> Callable[[], object]:
    model = build.model()
    return lambda: alter.model(model.pk, {"size_gb": 7.5}, WHO)


def _switched() -> Callable[[], object]:
    server = build.server()
    return lambda: upkeep.switch([server.pk], WHO, on=False)


def _drained() -> Callable[[], object]:
    server = build.server()
    return lambda: upkeep.drain([server.pk], WHO, on=True)


def _dismissed() -> Callable[[], object]:
    place = build.placement()
    return lambda: upkeep.unload(place.pk, WHO)


def _pinned() -> Callable[[], object]:
    place = build.placement()
    return lambda: upkeep.pin(place.pk, WHO, on=True)


def _kept() -> Callable[[], object]:
    offer = build.offer()
    return lambda: warm.keep([offer.pk], on=True)


def _swapped() -> Callable[[], object]:
    old, new = build.model(), build.model(size_gb=1.0)
    build.offer(model=new)
    return lambda: swap.swap(old, new, clock.now())


def _undone() -> Callable[[], object]:
    old = build.model(successor=build.model(), successor_at=clock.now())
    return lambda: swap.undo(old)


def _replaced() -> Callable[[], object]:
    new = build.model()
    build.placement(model=new)
    build.model(successor=new, successor_at=clock.now())
    return lambda: swap.switch(clock.now())


def _expected() -> Callable[[], object]:
    model = build.model()
    return lambda: queue._note([model.key], clock.now())


CHANGES: dict[str, Callable[[], Callable[[], object]]] = {
    "a server is added": lambda: lambda: alter.add({"name": "new", "url": "http://10.0.0.9:1234", "budget_gb": 64}, WHO),
    "a server is changed": _server,
    "a server is removed": _removed,
    "a model is changed": _model,
    "the policy is changed": lambda: lambda: alter.policy({"overdue_s": 77.0}, WHO),
    "a server is switched off": _switched,
    "a server drains": _drained,
    "an instance is to leave": _dismissed,
    "an instance is pinned": _pinned,
    "a model is kept": _kept,
    "a model is to be replaced": _swapped,
    "a swap is undone": _undone,
    "a model is replaced": _replaced,
    "a model was mentioned": _expected,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_people_change_has_a_plan_made(change: Callable[[], Callable[[], object]]) -> None:
    channels = rung(change())
    assert FOR_PLANS & set(channels)
    assert Channel.SERVE in channels
    assert channels.index(Channel.SERVE) > min(channels.index(channel) for channel in FOR_PLANS & set(channels)), "who wakes has heard it"


def test_a_plan_that_somebody_rang_for_is_made_though_nothing_waits_and_knows_what_has_just_changed() -> None:
    build.policy()
    offer = build.offer()
    now = clock.now()
    known = serve.Catalogue()
    assert serve.reserve(1, 10, now, known).loads == ()
    warm.keep([offer.pk], on=True)
    soon = now + timedelta(milliseconds=100)
    assert serve.reserve(1, 10, soon, known).loads == ()
    assert len(serve.reserve(1, 10, soon, known, anew=True).loads) == 1


# --- looks -------------------------------------------------------------------------------------------------------
def look(server: Any, what: Any) -> list[Channel]:
    return rung(lambda: reconcile(server.pk, what, clock.now(), clock.now()))


def test_a_look_that_finds_what_was_there_before_rings_for_nothing() -> None:
    server = build.server()
    assert look(server, listing(listed("maker/model"))) == [Channel.PLAN, Channel.SERVE]
    assert look(server, listing(listed("maker/model"))) == []
    assert look(server, listing(listed("maker/model", size_bytes=3 * GIB))) == [Channel.PLAN, Channel.SERVE]
    assert look(server, listing()) == [Channel.PLAN, Channel.SERVE]
    assert look(server, listing()) == []


def test_what_was_loaded_or_has_vanished_behind_our_back_rings_for_a_plan() -> None:
    server = build.server()
    place = build.placement(server=server, model=build.model(key="maker/model"), loaded_at=clock.now() - timedelta(minutes=1))
    build.offer(server=server, model=place.model)
    assert look(server, listing(listed("maker/model"))) != []
    assert Placement.objects.get().state == "gone"


def test_while_nothing_happens_a_round_asks_three_times() -> None:
    ClusterPolicy.current()
    build.server(listed_at=clock.now())
    serve.reserve(1, 10, clock.now())
    now = clock.now()
    with CaptureQueriesContext(connection) as told:
        serve.ahead.overdue(now)
        serve.reserve(1, 10, now)
        serve.ahead.soonest(now)
    assert len(told) == 3
    assert not Generation.objects.exists()
