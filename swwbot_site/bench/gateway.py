"""What the gateway costs: the same requests to one emulated server, directly and through the gateway, in turns in one run.

Client, gateway, worker, Postgres and the emulated server share the machine: the sum of their work bounds the requests a second.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
from django.contrib.auth.models import User

from cluster.models import ClusterPolicy, Generation, Placement, Server
from conversations.models import Engine
from swwbot_site import postgres, processes, tokens
from swwbot_site.bench import stage
from swwbot_site.bench.figures import Cores, machine, percentile
from swwbot_site.lib.leases import living

LEVELS = (1, 8, 64, 256)
SECONDS = 8.0
ROUNDS = 2
"""Direct and through the gateway, in turns."""

WARM_S = 2.0
PER_S = 300.0
"""Requests a second of the steady traffic."""

MODEL = "bench/model"
PATH = "/v1/chat/completions"
BODY = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You are terse, friendly and never repeat yourself."},
        {"role": "user", "content": "Say something about the number 17."},
    ],
    "max_tokens": 8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to ask, and with which headers."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


def run(seconds: float, levels: Sequence[int]) -> dict[str, object]:
    """Per number in flight: requests a second and milliseconds, directly and through the gateway; then steady traffic."""
    here = machine()
    with _stage() as (direct, gateway, cores):
        asyncio.run(_closed(gateway, 64, WARM_S))
        rows = [row for n in levels for row in _compared(direct, gateway, n, seconds, cores, stream=False)]
        streamed = _compared(direct, gateway, 64, seconds, cores, stream=True)
        steady = [_row(target, PER_S, asyncio.run(_open(target, seconds)), seconds) for target in (direct, gateway)]
        kept = Generation.objects.filter(state="done").count()
        undone = Generation.objects.exclude(state="done").count()
    over = {f"{name}_ms": round(float(str(steady[1][f"{name}_ms"])) - float(str(steady[0][f"{name}_ms"])), 2) for name in ("p50", "p95")}
    return {
        "machine": here,
        "in flight": rows,
        "in flight, streams": streamed,
        "steady": steady,
        "overhead at the steady rate": over,
        "rows": {"done": kept, "other": undone},
    }


def _compared(
    direct: Target, gateway: Target, n: int, seconds: float, cores: Mapping[str, int], *, stream: bool
) -> list[dict[str, object]]:
    took: dict[str, list[float]] = {direct.name: [], gateway.name: []}
    spent: dict[str, float] = dict.fromkeys(cores, 0.0)
    for _ in range(ROUNDS):
        for target in (direct, gateway):
            used = Cores(cores, families=("postgres", "worker"))
            took[target.name] += asyncio.run(_closed(target, n, seconds / ROUNDS, stream=stream))
            if target is gateway:
                spent = {name: spent[name] + one for name, one in used.spent().items()}
    rows = [_row(target, n, took[target.name], seconds) for target in (direct, gateway)]
    count = max(1, len(took[gateway.name]))
    rows[1] |= {f"{name}_cpu_ms": round(one * 1000 / count, 2) for name, one in spent.items()}
    return rows


def _row(target: Target, n: float, took: list[float], seconds: float) -> dict[str, object]:
    good = [one * 1000 for one in took if one >= 0]
    return {
        "asked": target.name,
        "load": n,
        "per_s": round(len(good) / seconds, 1),
        "p50_ms": round(percentile(good, 0.5), 2),
        "p95_ms": round(percentile(good, 0.95), 2),
        "failed": len(took) - len(good),
    }


async def _closed(target: Target, n: int, seconds: float, *, stream: bool = False) -> list[float]:
    """`n` clients, each asking again when it is answered; seconds each request took, -1 for one that failed."""
    took: list[float] = []
    end = time.monotonic() + seconds
    async with _session(target) as session:

        async def client() -> None:
            while time.monotonic() < end:
                took.append(await _one(session, target, stream=stream))

        await asyncio.gather(*(client() for _ in range(n)))
    return took


async def _open(target: Target, seconds: float) -> list[float]:
    """A steady pace, whether answers come or not."""
    took: list[float] = []
    async with _session(target) as session:

        async def ask() -> None:
            took.append(await _one(session, target, stream=False))

        began, asked = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while (passed := time.monotonic() - began) < seconds:
                while asked < passed * PER_S:
                    group.create_task(ask())
                    asked += 1
                await asyncio.sleep(0.002)
    return took


def _session(target: Target) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(target.url, connector=aiohttp.TCPConnector(limit=0), headers=dict(target.headers))


async def _one(session: aiohttp.ClientSession, target: Target, *, stream: bool) -> float:
    began = time.monotonic()
    async with session.post(PATH, json={**BODY, "stream": stream}) as response:
        body = await response.read()
    well = response.status == 200 and (body.rstrip().endswith(b"[DONE]") if stream else b'"finish_reason"' in body)
    return time.monotonic() - began if well else -1.0


@contextmanager
def _stage() -> Iterator[tuple[Target, Target, dict[str, int]]]:
    """A warm server, a worker and a web server; yields both ways to ask, and whose CPU time is counted."""
    words = ("--models", f"{MODEL}:4", "--loaded", MODEL, "--parallel", "256", "--tokens-per-s", "0", "--first-token-s", "0")
    with stage.own_database() as own, stage.served(1, *words) as emulators:
        [(url, emulator)] = emulators
        Server.objects.create(name="bench", url=url, budget_gb=64, slots=256)
        ClusterPolicy.current()
        user = User.objects.create_superuser("bench")
        _, secret = tokens.make("bench", user, ["generate"], who="bench", per_minute=1_000_000)
        environment = {**own, "QUEUE": "bench", "WORKERS": "1", "CONFIG": ""}
        port = next(port for port in range(24000, 24999) if processes.port_is_free("127.0.0.1", port))
        with stage.program(["qcluster"], environment) as worker, stage.web(port, environment) as web:
            stage.until(lambda: Engine.objects.filter(owner__in=living()).exists(), 60, "the engine")
            stage.until(lambda: Placement.objects.filter(state="loaded").count() == 1, 30, "the server")
            stage.until(lambda: processes.port_answers(port), 30, "the web server")
            cores = {"gateway": web.pid, "worker": worker.pid, "emulator": emulator, "client": os.getpid()}
            postmaster = postgres.Server(var=stage.folder(own)).pid() or 0
            yield (
                Target(name="directly", url=url),
                Target(name="through the gateway", url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {secret}"}),
                {**cores, "postgres": postmaster},
            )
