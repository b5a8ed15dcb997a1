"""How much memory and CPU a real engine worker takes, idle and with many generations in flight."""

import time
from dataclasses import asdict, dataclass

import psutil
from django.conf import settings

from cluster.logic.request import Request
from cluster.models import Generation, Seat, Server
from cluster.queue import submit
from conversations.models import Engine
from swwbot_site.bench import stage
from swwbot_site.lib import clock
from swwbot_site.lib.leases import living


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the worker took over a stretch of time: resident and proportional memory, MB; CPU, percent of one core."""

    rss_mb: float
    pss_mb: float
    cpu_percent: float
    in_flight: int


def run(in_flight: int, seconds: float) -> dict[str, object]:
    """Start a worker, watch it idle for `seconds`, then with `in_flight` generations running for as long."""
    with stage.own_database() as own:
        words = ("--models", "bench/model:4", "--loaded", "bench/model", "--parallel", "256", "--tokens-per-s", "40", "--load-gbps", "0")
        with stage.studios(2, *words) as urls:
            for n, url in enumerate(urls):
                Server.objects.create(name=f"bench-{n}", url=url, budget_gb=64, slots=256)
            environment = {**own, "QUEUE": "bench", "WORKERS": "1", "CONFIG": ""}
            with stage.program(["qcluster"], environment):
                engine = stage.until(lambda: Engine.objects.filter(owner__in=living()).first(), 60, "the engine")
                stage.until(lambda: Server.objects.filter(state="online").count() == len(urls), 30, "the servers")
                assert engine is not None
                worker = psutil.Process(engine.pid)
                idle = _watch(worker, seconds)
                _submit(in_flight)
                stage.until(lambda: Seat.objects.count() == in_flight, 60, "the seats")
                busy = _watch(worker, seconds)
                stage.until(lambda: not Generation.objects.exclude(state="done").exists(), 300, "the answers")
                after = _watch(worker, 1.0)
    return {"version": settings.VERSION, "asked_in_flight": in_flight, "idle": asdict(idle), "busy": asdict(busy), "after": asdict(after)}


def _submit(n: int) -> None:
    for number in range(n):
        messages = [{"role": "user", "content": f"Say something long about the number {number}. " * 20}]
        submit("bench/model", Request(messages=messages, max_tokens=200), caller="bench", now=clock.now())


def _watch(worker: psutil.Process, seconds: float) -> Sample:
    rss = pss = 0.0
    flights = Seat.objects.count()
    worker.cpu_percent()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        memory = worker.memory_full_info()
        rss, pss = max(rss, memory.rss / 2**20), max(pss, getattr(memory, "pss", 0) / 2**20)
        time.sleep(0.2)
    cpu = worker.cpu_percent()
    return Sample(rss_mb=round(rss, 1), pss_mb=round(pss, 1), cpu_percent=round(cpu, 1), in_flight=max(flights, Seat.objects.count()))
