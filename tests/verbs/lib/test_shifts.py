"""How a worker learns that its cluster stops."""

import os
from collections.abc import Iterator

import pytest
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.signing import SignedPackage
from django_q.status import Stat

from swwbot_site.lib.shifts import Guard

OURS = f"ours-{os.getpid()}"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Afterwards nobody has said anything."""
    yield
    for cluster in (OURS, "another"):
        get_broker().cache.delete(Stat.get_key(cluster))


def tell(cluster: str, sentinel: int, status: str) -> None:
    """Be a cluster that writes its status, as its sentinel does twice a second."""
    stat = Stat.__new__(Stat)
    stat.cluster_id, stat.sentinel, stat.status, stat.broker = cluster, sentinel, status, None
    get_broker().set_stat(stat.key, SignedPackage.dumps(stat, True), 60)


def test_a_worker_goes_by_the_status_of_its_own_cluster() -> None:
    guard = Guard()
    assert guard.reason() == ""
    tell("another", 1, Conf.STOPPING)
    tell(OURS, os.getppid(), Conf.WORKING)
    assert guard.reason() == ""
    tell(OURS, os.getppid(), Conf.STOPPING)
    assert guard.reason() == "the cluster stops"


def test_a_cluster_that_says_nothing_any_more_does_not_end_the_shift() -> None:
    guard = Guard()
    tell(OURS, os.getppid(), Conf.WORKING)
    assert guard.reason() == ""
    get_broker().cache.delete(Stat.get_key(OURS))
    assert guard.reason() == ""
