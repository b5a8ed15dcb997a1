"""Generations through the real queue: submitted here, served by real workers, answered by emulated servers. All on this machine.

A closed loop: so many are always waiting or running, the next is submitted when one has ended. Everything shares the cores, so
each row also says who took them.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Barrier

import psutil
from django.db import connection, transaction
from django.db.models import QuerySet

from cluster.logic.request import Request
from cluster.models import Generation, Placement, Server
from cluster.queue import submit
from conversations.models import Engine
from swwbot_site import postgres
from swwbot_site.bench import stage
from swwbot_site.bench.figures import Cores, spread
from swwbot_site.lib import clock
from swwbot_site.lib.leases import living

SLOTS = 512
"""Answers at once of an emulated server: more than are ever asked for, so that a slot is always free."""

LATENCIES_MS = (0, 50, 1000)
LIMIT_S = 60.0
CALLERS = 4
"""How many submit at the same time."""

ENTITIES = 16
"""How many they submit for."""

_PAUSE_S = 0.002
_LOOK_S = 0.5


@dataclass(slots=True, kw_only=True)
class Hall:
    """What runs while traffic is measured."""

    environment: dict[str, str]
    emulators: dict[str, tuple[str, int]]
    """Emulated servers by name: address and process."""
    database: int
    engines: dict[int, int] = field(default_factory=dict)
    """Process and its qcluster's."""
    rss_mb: float = 0.0

    def look(self) -> None:
        """Note how much memory the fattest worker takes."""
        for pid in self.engines:
            self.rss_mb = max(self.rss_mb, psutil.Process(pid).memory_info().rss / 2**20)


@contextmanager
def hall(servers: Mapping[str, Sequence[str]], slots: int) -> Iterator[Hall]:
    """A database of its own and emulated servers with so many slots, by name: the words of their emulators. No worker yet."""
    with stage.own_database() as own, ExitStack() as stack:
        emulators = {}
        for name, words in servers.items():
            [(url, pid)] = stack.enter_context(stage.served(1, *words, "--parallel", str(slots), "--tokens-per-s", "0"))
            emulators[name] = url, pid
            Server.objects.create(name=name, url=url, budget_gb=64, slots=slots)
        server = postgres.Server(var=stage.folder(own)).pid()
        assert server is not None
        yield Hall(environment=own, emulators=emulators, database=server)


def latent(latencies: Sequence[int] = LATENCIES_MS) -> AbstractContextManager[Hall]:
    """A hall with a server per latency, `bench-<ms>` with the model `bench/<ms>` in memory."""
    return hall({f"bench-{ms}": words(f"bench/{ms}", ms) for ms in latencies}, SLOTS)


def words(model: str, latency_ms: int) -> tuple[str, ...]:
    """The options of an emulator that has one model in memory and gives whole answers after so long."""
    return ("--models", f"{model}:4", "--loaded", model, "--first-token-s", str(latency_ms / 1000))


@contextmanager
def engine(hall: Hall, number: int) -> Iterator[int]:
    """One more worker; yields its process when every server has been seen."""
    values = {"QUEUE": f"bench-{number}", "WORKERS": "1", "CONFIG": "", "SHIFT_SECONDS": "3600", "LOG_LEVEL": "WARNING"}
    environment = {**hall.environment, **values, "VAR_DIR": str(stage.folder(hall.environment) / f"worker-{number}")}
    with stage.program(["qcluster", "--skip-checks"], environment) as process:
        row = stage.until(lambda: Engine.objects.filter(cluster=f"bench-{number}", owner__in=living()).first(), 60, f"engine {number}")
        assert row is not None
        stage.until(lambda: Placement.objects.filter(state="loaded").count() == len(hall.emulators), 60, "the servers")
        hall.engines[row.pid] = process.pid
        try:
            yield row.pid
        finally:
            del hall.engines[row.pid]


def level(hall: Hall, latency: int, in_flight: int, seconds: float, *, evenly: bool = False) -> dict[str, object]:
    """Keep `in_flight` requests going for `seconds`, after a beginning that is not counted.

    `evenly`: at the pace at which so many are in flight, whether answers come or not. What waits for answers soon comes in waves.
    """
    model, before = f"bench/{latency}", _last()
    groups = _groups(hall, f"bench-{latency}")

    def ask(seconds: float) -> int:
        return pace(hall, model, in_flight / (latency / 1000), seconds) if evenly else keep(hall, model, in_flight, seconds)

    submitted = ask(min(2.0, seconds / 3))
    cores = Cores(groups, families=["postgres"])
    begun, began = clock.now(), time.monotonic()
    submitted += ask(seconds)
    ended, took = clock.now(), time.monotonic() - began
    spent = cores.spent()
    drain(hall)
    rows = Generation.objects.filter(pk__gt=before)
    counted = rows.filter(state="done", ended_at__gt=begun, ended_at__lte=ended)
    head: dict[str, object] = {"latency_ms": latency, "in_flight": in_flight, "engines": len(hall.engines), "submitted": submitted}
    return head | _figures(hall, rows, counted, took, spent)


def backlog(hall: Hall, number: int) -> dict[str, object]:
    """Let the workers answer `number` requests that wait already, as many at once as they will: what they carry when nobody submits."""
    before, groups = _last(), _groups(hall, "bench-0")
    with transaction.atomic():  # nobody sees one before all are there
        for n in range(number):
            put("bench/0", n)
        cores = Cores(groups, families=["postgres"])
        begun, began = clock.now(), time.monotonic()
    rows = Generation.objects.filter(pk__gt=before)
    stage.until(lambda: not _waiting(), LIMIT_S, "the end of the backlog")
    took = time.monotonic() - began
    spent = cores.spent()
    hall.look()
    counted = rows.filter(state="done", ended_at__gt=begun)
    head: dict[str, object] = {"latency_ms": 0, "in_flight": "backlog", "engines": len(hall.engines), "submitted": number}
    return head | _figures(hall, rows, counted, took, spent)


def keep(hall: Hall, model: str, in_flight: int, seconds: float, most: int = 1 << 30) -> int:
    """Submit whenever fewer than `in_flight` wait or run, each in a transaction of its own, `most` in all. Returns how many."""
    end, looked, count = time.monotonic() + seconds, 0.0, 0
    with _callers() as callers:
        while count < most and (now := time.monotonic()) < end:
            missing = min(in_flight - _waiting(), most - count)
            list(callers.map(put, [model] * missing, range(count, count + missing)))
            count += max(0, missing)
            if now - looked > _LOOK_S:
                hall.look()
                looked = now
            if missing <= in_flight // 16:
                time.sleep(_PAUSE_S)
    return count


def pace(hall: Hall, model: str, per_s: float, seconds: float) -> int:
    """Submit so many a second, evenly, each in a transaction of its own. Returns how many."""
    began, count = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        if count <= passed * per_s:
            put(model, count)
            count += 1
            continue
        time.sleep(count / per_s - passed)
    hall.look()
    return count


@contextmanager
def _callers() -> Iterator[ThreadPoolExecutor]:
    """A few who submit at the same time, each on a connection of its own."""
    together = Barrier(CALLERS)
    with ThreadPoolExecutor(CALLERS) as pool:
        try:
            yield pool
        finally:
            list(pool.map(_hang_up, [together] * CALLERS))


def _hang_up(together: Barrier) -> None:
    connection.close()
    together.wait(timeout=30)  # so that every thread closes its own


def put(model: str, number: int) -> None:
    """Submit one request that no other equals."""
    said = f"Say something about the number {number} of {time.monotonic_ns()}."
    messages = [{"role": "system", "content": "You are terse, friendly and never repeat yourself."}, {"role": "user", "content": said}]
    with transaction.atomic():
        submit(model, Request(messages=messages, max_tokens=200), caller=f"bench-{number % ENTITIES}", now=clock.now())


def drain(hall: Hall) -> None:
    """Wait until everything is answered."""
    stage.until(lambda: not _waiting(), LIMIT_S, "the last answers")
    hall.look()


def _waiting() -> int:
    with connection.cursor() as cursor:  # asked hundreds of times a second: without the work of building a query
        cursor.execute("SELECT count(*) FROM cluster_generation WHERE state = 'queued' OR state = 'running'")
        return int(cursor.fetchone()[0])


def _last() -> int:
    return Generation.objects.order_by("-id").values_list("id", flat=True).first() or 0


def _groups(hall: Hall, server: str) -> dict[str, int]:
    """Whose time is told apart: the submitter, Postgres with all its processes, the emulator and each engine."""
    groups = {"submitter": os.getpid(), "postgres": hall.database, "emulator": hall.emulators[server][1]}
    return groups | {f"engine {n}": pid for n, pid in enumerate(hall.engines, 1)}


def _figures(
    hall: Hall, rows: QuerySet[Generation], counted: QuerySet[Generation], took: float, spent: Mapping[str, float]
) -> dict[str, object]:
    times = list(counted.values_list("queued_at", "asked_at"))
    waits = [(asked - queued).total_seconds() * 1000 for queued, asked in times if asked is not None]
    return {
        "per_s": round(len(times) / took, 1),
        "not_done": rows.exclude(state="done").count(),
        "asked_again": rows.filter(attempts__gt=1).count(),
        "queued_to_asked_ms": spread(waits, 1),
        "cores": {name: round(value / took, 2) for name, value in spent.items()},
        "cpu_ms_each": {name: round(value / max(1, len(times)) * 1000, 2) for name, value in spent.items()},
        "rss_mb": round(hall.rss_mb, 1),
    }
