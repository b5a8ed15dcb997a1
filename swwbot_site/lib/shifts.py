"""django-q2, as far as we use it: one task that runs an engine for a while, and how it learns that its cluster stops.

On SIGTERM django-q tells its workers nothing: it puts a pill behind the running task and waits. But its sentinel writes a status
into a cache twice a second, the cache is shared by the processes of the machine, and the sentinel is the worker's parent.
"""

import os
import signal
from typing import Self

from django.db import transaction
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.signals import post_spawn
from django_q.signing import SignedPackage
from django_q.status import Stat
from django_q.tasks import async_task

from swwbot_site.lib.leases import alone

STOPPING = (Conf.STOPPING, Conf.STOPPED)

WATCHDOGS = -1
"""The advisory lock of whoever makes a watchdog; no owner has this number."""


def queue_name() -> str:
    """The queue of this machine's cluster."""
    return str(Conf.CLUSTER_NAME)


class Guard:
    """Watches, from inside a worker, whether its cluster stops or is gone, or whether the worker itself is told to end."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._told = False
        self._broker = get_broker()
        self._key = ""

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, self._tell)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _tell(self, *_: object) -> None:
        self._told = True

    def reason(self) -> str:
        """Why the shift should end now; empty while it should go on."""
        if self._told:
            return "SIGTERM"
        if os.getppid() != self._parent:
            return "the cluster that started it is gone"
        stat = self._stat()
        return "the cluster stops" if stat and stat.status in STOPPING else ""

    def _stat(self) -> Stat | None:
        """The status of our cluster. All of them are read, and their list written, only until ours is known."""
        if not self._key:
            self._key = next((stat.key for stat in Stat.get_all(self._broker) if stat.sentinel == self._parent), "")
        packed = self._broker.get_stat(self._key) if self._key else None
        return SignedPackage.loads(packed) if packed else None


def ensure(function: str, running: int, wanted: int = 1) -> int:
    """Queue as many runs of `function` on this machine's queue as are missing. Returns how many were queued."""
    with transaction.atomic():
        list(Schedule.objects.select_for_update(no_key=True).filter(name=_watchdog_name()))
        queued = sum(1 for row in OrmQ.objects.filter(key=queue_name(), lock__lte=timezone.now()) if row.func == function)
        missing = max(0, wanted - running - queued)
        for _ in range(missing):
            async_task(function, task_name="shift", cluster=queue_name())
    return missing


def _watchdog_name() -> str:
    return f"watchdog of {queue_name()}"


def watch(function: str) -> None:
    """Let `function` be called every minute on this machine's queue. Its workers begin together, and names of schedules are not unique."""
    with transaction.atomic():
        alone(WATCHDOGS)
        if not Schedule.objects.filter(name=_watchdog_name()).exists():
            values = {"func": function, "schedule_type": Schedule.MINUTES, "minutes": 1, "cluster": queue_name()}
            Schedule.objects.create(name=_watchdog_name(), **values)


__all__ = ["Guard", "ensure", "post_spawn", "queue_name", "watch"]
