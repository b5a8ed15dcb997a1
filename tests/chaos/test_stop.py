"""What the chaos run found about stopping."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from swwbot_site.lib import leases
from tests.harness import until
from tests.workers import Workers, engines_alive

QUEUE = "chaos-stop"


@pytest.fixture
def workers(engine_database_url: str, run_folder: Path) -> Iterator[Workers]:
    until(lambda: leases.living() != leases.EVERYBODY, what="a database that knows who lives")
    cluster = Workers(engine_database_url, run_folder / "chaos-stop", QUEUE)
    yield cluster
    cluster.kill()


def test_a_cluster_of_one_worker_stops_although_tasks_wait_behind_its_shift(workers: Workers) -> None:
    until(lambda: engines_alive() == 1, what="an engine")
    for _ in range(3):
        async_task("conversations.tasks.watchdog", cluster=QUEUE)
    taken = OrmQ.objects.filter(key=QUEUE, lock__gt=timezone.now())
    until(lambda: taken.filter(key=QUEUE).count() >= 3, what="tasks in the cluster's memory")
    assert workers.stop() < 10
    assert engines_alive() == 0
