"""Servers that a pool manager hands out: they join, follow what it says, finish what they have, and leave."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from cluster import pool
from cluster.models import Server
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import PoolEndpoint, hookimpl, manager
from tests import build
from tests.harness import engines, until

pytestmark = pytest.mark.django_db

SOME = {"pool": "ec2", "name": "cloud-1", "url": "http://10.1.0.1:1234", "budget_gb": 64.0}


def endpoint(**over: Any) -> PoolEndpoint:
    return PoolEndpoint(**SOME | over)


def settled(*endpoints: PoolEndpoint) -> int:
    return pool.settle(endpoints, clock.now())


class Manager:
    """A plugin that hands out servers; `broken`, it cannot tell."""

    def __init__(self) -> None:
        self.endpoints: Sequence[PoolEndpoint] = ()
        self.broken = False

    @hookimpl
    def pool_endpoints(self) -> Sequence[PoolEndpoint]:
        if self.broken:
            raise RuntimeError("the cloud is away")
        return self.endpoints


@pytest.fixture
def cloud() -> Iterator[Manager]:
    one = Manager()
    manager.register(one)
    yield one
    manager.unregister(one)


def test_what_is_handed_out_becomes_a_server() -> None:
    assert settled(endpoint(url=" http://10.1.0.1:1234/v1/ ", token="secret", dialect="vllm", region="north", slots=8, weight=2.0)) == 1
    row = Server.objects.get()
    assert (row.name, row.pool, row.url, row.token) == ("cloud-1", "ec2", "http://10.1.0.1:1234", "secret")
    assert (row.dialect, row.budget_gb, row.region, row.slots, row.weight, row.enabled) == ("vllm", 64.0, "north", 8, 2.0, True)


def test_what_is_the_same_changes_nothing() -> None:
    settled(endpoint())
    before = Server.objects.values().get()
    assert settled(endpoint()) == 0
    assert Server.objects.values().get() == before


def test_what_is_said_differently_is_changed_and_looked_at_again() -> None:
    settled(endpoint())
    Server.objects.update(listed_at=clock.now(), retry_at=clock.now())
    assert settled(endpoint(url="http://10.1.0.2:1234", budget_gb=96.0)) == 1
    row = Server.objects.get()
    assert (row.url, row.budget_gb, row.listed_at, row.retry_at) == ("http://10.1.0.2:1234", 96.0, None, None)


def test_what_is_missing_drains_and_is_disabled_when_it_has_finished() -> None:
    settled(endpoint())
    seat = build.seat(placement=build.placement(server=Server.objects.get()))
    settled()
    settled()
    row = Server.objects.get()
    assert (row.draining, row.enabled) == (True, True)
    seat.delete()
    settled()
    row.refresh_from_db()
    assert (row.draining, row.enabled) == (True, False)
    assert settled() == 0


@pytest.mark.parametrize("rounds", [1, 2])
def test_what_is_handed_out_again_joins_again(rounds: int) -> None:
    settled(endpoint())
    for _ in range(rounds):
        settled()
    assert settled(endpoint()) == 1
    row = Server.objects.get()
    assert (row.enabled, row.draining, row.withdrawn_at) == (True, False, None)


def test_a_server_that_a_person_switched_off_stays_off() -> None:
    settled(endpoint())
    Server.objects.update(enabled=False)
    assert settled(endpoint(budget_gb=96.0)) == 1
    assert not Server.objects.get().enabled


def test_servers_that_people_have_entered_are_never_touched() -> None:
    mine = build.server(name="mac-1", url="http://10.0.0.1:1234")
    before = Server.objects.filter(pk=mine.pk).values().get()
    assert settled(endpoint(name="mac-1"), endpoint(url="http://10.0.0.1:1234")) == 0
    assert settled() == 0
    assert Server.objects.values().get() == before


def test_a_pool_cannot_take_the_server_of_another() -> None:
    settled(endpoint())
    assert settled(endpoint(pool="another", budget_gb=1.0)) == 0
    assert (Server.objects.get().pool, Server.objects.get().budget_gb) == ("ec2", 64.0)


@pytest.mark.parametrize("values", [{"url": "not an address"}, {"budget_gb": 0.0}, {"dialect": "morse"}, {"weight": -1.0}, {"name": ""}])
def test_what_is_no_server_is_refused_and_the_others_join(values: dict[str, Any]) -> None:
    assert settled(endpoint(**values), endpoint(name="cloud-2", url="http://10.1.0.2:1234")) == 1
    assert Server.objects.get().name == "cloud-2"


def test_a_pool_that_cannot_tell_changes_nothing(cloud: Manager) -> None:
    cloud.endpoints = [endpoint()]
    now = clock.now()
    pool.sync(now)
    cloud.broken = True
    pool.sync(now + timedelta(minutes=1))
    row = Server.objects.get()
    assert (row.enabled, row.draining) == (True, False)


def test_the_pools_are_asked_by_one_engine_at_a_time(cloud: Manager) -> None:
    now = clock.now()
    assert pool.ask(now) == []
    assert pool.ask(now + timedelta(seconds=5)) is None
    assert pool.ask(now + timedelta(seconds=15)) == []


def test_without_a_pool_nothing_is_asked_and_nothing_goes() -> None:
    settled(endpoint())
    assert pool.sync(clock.now()) == pool.NEVER_S
    assert not Server.objects.get().draining


@pytest.mark.django_db(transaction=True)
def test_an_engine_takes_what_a_pool_hands_out_and_it_comes_online(cloud: Manager, studio: Callable[..., Any]) -> None:
    emulator = studio("cloud-1")
    Server.objects.all().delete()
    cloud.endpoints = [endpoint(url=emulator.url)]
    with engines():
        until(lambda: Server.objects.filter(name="cloud-1", pool="ec2", state="online").exists(), what="the server")
