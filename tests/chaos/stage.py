"""The stage of a chaos run: a database of its own, six emulated servers, two clusters of workers, and the hands that trouble them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from django.core.management import call_command
from django.db import connection, connections

from cluster.models import Server
from conversations.models import Engine
from swwbot_site import postgres
from swwbot_site.lib import leases
from swwbot_site.lib.wake import Channel, wake
from tests import build
from tests.chaos.checks import Deaths
from tests.chaos.schedule import MACHINES, Kind, Trouble
from tests.chaos.witness import HAND, Witness
from tests.harness import Background, until
from tests.workers import Workers

MODELS: Final = {
    "tiny/ant:2": (0, 1, 2, 3, 4, 5),
    "tiny/bee:3:mlx": (0, 1, 2, 3, 4, 5),
    "small/cat:4": (0, 1, 2, 3, 4, 5),
    "small/dog:5": (0, 1, 2, 3, 4),
    "small/elk:6:mlx": (0, 1, 2, 3, 5),
    "mid/fox:8": (1, 2, 3, 4, 5),
    "mid/gnu:9": (0, 2, 3, 4, 5),
    "mid/hen:10:mlx": (0, 1, 3, 4, 5),
    "mid/ibex:11": (0, 1, 2, 4, 5),
    "big/jay:14": (2, 3, 4, 5),
    "big/kite:16:mlx": (3, 4, 5),
    "big/lynx:20": (3, 4, 5),
}
"""Twelve models, as the emulator takes them, and which servers have them on disk."""

BUDGETS_GB: Final = (20.0, 20.0, 26.0, 36.0, 40.0, 48.0)
"""About half of what all models together would need."""

HABITS: Final = ({}, {"profile": "0.4.0"}, {}, {"jit": False}, {"profile": "0.4.0", "jit": False}, {"parallel": 8})
GLITCHES: Final = ("reset", "cut", "silent-cut", "unavailable", "html500", "channel", "fetch-failed", "stall", "proxy-error")
TOKEN: Final = "sk-lm-first:0123456789"
ATTEMPTS: Final = 10

KEYS: Final = tuple(spec.split(":")[0] for spec in MODELS)


@contextmanager
def database(folder: Path) -> Iterator[postgres.Server]:
    """A PostgreSQL of its own, as safe as real data need it, and Django's connections turned towards it."""
    server = postgres.Server(var=folder)
    server.start()
    entry = connections.settings["default"]
    before = dict(entry)
    connections.close_all()
    entry.update(NAME=postgres.DATABASE, USER=postgres.ROLE, PASSWORD="", PORT="", HOST=str(server.host), OPTIONS={})
    try:
        call_command("migrate", verbosity=0)
        until(lambda: leases.living() != leases.EVERYBODY, what="a database that knows who lives")
        yield server
    finally:
        connections.close_all()
        entry.clear()
        entry.update(before)
        server.stop()


class Stage:
    """Everything that runs once it has begun, and what can be done to it. Use it from one thread; `close` it at the end."""

    def __init__(self, background: Background, server: postgres.Server, folder: Path, seed: int) -> None:
        self.deaths = Deaths()
        self.servers: list[Witness] = []
        self.machines: list[Workers] = []
        self._background = background
        self._database = server
        self._folder = folder
        self._seed = seed
        self._down: set[int] = set()
        self._mends: dict[Kind, Callable[[Trouble], None]] = {
            Kind.STOP: lambda one: background.run(self.servers[one.target].start()),
            Kind.HANG: lambda one: self.servers[one.target].set(fault=""),
            Kind.STUCK: lambda one: self.servers[one.target].set(list_fault=""),
            Kind.REFUSE: self._enter_token,
            Kind.SLOW: lambda one: self.servers[one.target].set(load_gbps=20.0),
            Kind.DRAIN: lambda one: self._drain(one, draining=False),
            Kind.MACHINE: lambda one: self._start(one.target),
            Kind.POSTGRES: self._start_database,
        }
        self._strikes: dict[Kind, Callable[[Trouble], None]] = {
            Kind.STOP: lambda one: background.run(self.servers[one.target].stop()),
            Kind.HANG: lambda one: self.servers[one.target].set(fault="hang", fault_times=0),
            Kind.STUCK: lambda one: self.servers[one.target].set(list_fault="hang"),
            Kind.REFUSE: lambda one: self.servers[one.target].set(token=_token(one)),
            Kind.SLOW: lambda one: self.servers[one.target].set(load_gbps=2.0),
            Kind.DRAIN: lambda one: self._drain(one, draining=True),
            Kind.CRASH: lambda one: self._fault(one, "crash", 1),
            Kind.GLITCH: lambda one: self._fault(one, GLITCHES[int(one.choice * len(GLITCHES))], 2),
            Kind.CANCEL: lambda one: self.servers[one.target].set(load_error="canceled", load_error_times=1),
            Kind.LOAD: self._load,
            Kind.UNLOAD: self._unload,
            Kind.WORKER: self._kill_worker,
            Kind.MACHINE: self._kill_machine,
            Kind.POSTGRES: self._kill_database,
        }

    def begin(self) -> None:
        """Start the servers and the workers, and wait until they know each other."""
        self._policy()
        for number in range(len(BUDGETS_GB)):
            self._serve(number)
        for number in range(MACHINES):
            self._start(number)
        until(lambda: Server.objects.filter(state="online").count() == len(self.servers), what="six servers online")

    def strike(self, trouble: Trouble) -> None:
        """Let it begin."""
        self._strikes[trouble.kind](trouble)

    def mend(self, trouble: Trouble) -> None:
        """Let it end."""
        if trouble.lasts:
            self._mends[trouble.kind](trouble)

    def supervise(self) -> None:
        """Start a cluster again that ended by itself, as a service manager does."""
        for number, machine in enumerate(self.machines):
            if number not in self._down and machine.process.poll() is not None:
                self.deaths.killed.append(time.monotonic())
                machine.kill()
                self._start(number)

    def stop_workers(self) -> None:
        """Tell all clusters to stop; each must be gone within 20 s."""
        for number, machine in enumerate(self.machines):
            try:
                machine.stop()
            except subprocess.TimeoutExpired:
                raise AssertionError(f"the cluster of machine {number} does not stop\n{self.said()}") from None

    def close(self) -> None:
        for machine in self.machines:
            machine.kill()
        for server in self.servers:
            self._background.run(server.stop())

    def said(self) -> str:
        """The last words of the workers."""
        return "\n".join(f"--- machine {n}\n{machine.said()[-3000:]}" for n, machine in enumerate(self.machines))

    def _policy(self) -> None:
        build.policy(
            connect_timeout_s=1.0,
            probe_timeout_s=1.5,
            first_token_timeout_s=2.5,
            idle_timeout_s=2.5,
            total_timeout_s=30.0,
            load_timeout_s=5.0,
            load_poll_interval_s=0.2,
            reconcile_interval_s=2.0,
            breaker_pause_s=0.5,
            min_residency_s=1.0,
            max_attempts=ATTEMPTS,
            return_s=2.0,
        )

    def _serve(self, number: int) -> None:
        habits: Mapping[str, Any] = HABITS[number]
        models = [spec for spec, places in MODELS.items() if number in places]
        name, memory = f"studio-{number}", BUDGETS_GB[number]
        common = {"memory_gb": memory, "load_gbps": 20.0, "tokens_per_s": 400.0, "auth": True, "token": TOKEN, "auto_evict": False}
        one = Witness(name, models, seed=self._seed + number, **{**common, **habits})
        self._background.run(one.start())
        self.servers.append(one)
        unseen = {"state": "unknown", "detected": "", "seen_at": None, "listed_at": None, "state_since": None}
        build.server(name=name, url=one.url, token=TOKEN, budget_gb=memory, **unseen)

    def _start(self, number: int) -> None:
        query = urlencode({"host": str(self._database.host)})
        address = f"postgresql://{postgres.ROLE}@/{postgres.DATABASE}?{query}"
        machine = Workers(address, self._folder / f"machine-{number}", f"chaos-{number}", SHIFT_SECONDS="120")
        self.machines[number : number + 1] = [machine]
        self._down.discard(number)

    def _fault(self, trouble: Trouble, kind: str, times: int) -> None:
        server = self.servers[trouble.target]
        if server.work.habits.fault != "hang":
            server.set(fault=kind, fault_times=times)

    def _drain(self, trouble: Trouble, *, draining: bool) -> None:
        Server.objects.filter(name=self.servers[trouble.target].name).update(draining=draining)
        wake(Channel.SETTINGS)

    def _enter_token(self, trouble: Trouble) -> None:
        row = Server.objects.get(name=self.servers[trouble.target].name)
        row.token = _token(trouble)
        row.save(update_fields=["token"])
        wake(Channel.SETTINGS)

    def _load(self, trouble: Trouble) -> None:
        keys = sorted(self.servers[trouble.target].work.machine.models)
        self._by_hand(trouble, "load", {"model": keys[int(trouble.choice * len(keys))]})

    def _unload(self, trouble: Trouble) -> None:
        loaded = sorted(self.servers[trouble.target].work.machine.instances)
        if loaded:
            self._by_hand(trouble, "unload", {"instance_id": loaded[int(trouble.choice * len(loaded))]})

    def _by_hand(self, trouble: Trouble, what: str, body: dict[str, str]) -> None:
        """A person at the server itself; a server that is off, or refuses, is none the worse."""
        server = self.servers[trouble.target]
        headers = {**HAND, "Authorization": f"Bearer {server.work.habits.token}"}
        try:
            httpx.post(f"{server.url}/api/v1/models/{what}", json=body, headers=headers, timeout=0.5, trust_env=False, verify=False)
        except httpx.TransportError:
            return

    def _kill_worker(self, trouble: Trouble) -> None:
        """The process that runs the engine.

        Between two engines nobody is killed: a worker that dies while it reads its queue keeps the lock of django-q's queue for ever.
        """
        inside = self.machines[trouble.target].everybody()
        engines = Engine.objects.filter(ended_at__isnull=True, pid__in=inside).values_list("pid", flat=True)
        for pid in engines:
            os.kill(pid, signal.SIGKILL)
            self.deaths.killed.append(time.monotonic())

    def _kill_machine(self, trouble: Trouble) -> None:
        self._down.add(trouble.target)
        self.machines[trouble.target].kill()
        self.deaths.killed.append(time.monotonic())

    def _kill_database(self, trouble: Trouble) -> None:
        """Hang up on everybody and end; one time in two without a checkpoint, so that the log is replayed at the next start."""
        pid = self._database.pid()
        assert pid is not None
        connection.close()
        self.deaths.away.append((time.monotonic(), float("inf")))
        os.kill(pid, signal.SIGQUIT if trouble.choice < 0.5 else signal.SIGINT)
        until(lambda: self._database.pid() is None, what="the end of the database")

    def _start_database(self, trouble: Trouble) -> None:
        self._database.start()
        self.deaths.away[-1] = (self.deaths.away[-1][0], time.monotonic())


def _token(trouble: Trouble) -> str:
    return f"sk-lm-other:{int(trouble.choice * 10**9)}"
