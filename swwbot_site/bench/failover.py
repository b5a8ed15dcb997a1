"""What callers notice of a server that is switched off under load: three servers from the start beside four of which one dies.

An open loop: requests come at a steady pace, whether answers come or not. Only what was asked after the detection is compared.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from cluster.logic.request import Request
from cluster.models import Generation, Placement, Server
from cluster.queue import submit
from conversations.models import Engine
from swwbot_site.bench import stage
from swwbot_site.bench.figures import machine, spread
from swwbot_site.lib import clock
from swwbot_site.lib.leases import living

PER_S = 3.0
"""Requests a second: about half of what three servers can do."""

ANSWER_S = 2.0
SLOTS = 4
BEFORE_S = 5.0
"""Traffic before the switch is turned."""

NOTICED_S = 30.0
MODEL = "bench/model"


def run(seconds: float) -> dict[str, object]:
    """Both arrangements, each measured over `seconds` of steady traffic; answers in milliseconds from queued to stored."""
    here = machine()
    with _servers(3):
        _traffic(BEFORE_S)
        three = _measured(_traffic(seconds))
    with _servers(4) as processes:
        _traffic(BEFORE_S)
        off = clock.now()
        os.kill(processes[0], signal.SIGKILL)
        detected = _noticed(off)
        four = _measured(_traffic(seconds))
    noticed, more = (detected - off).total_seconds() * 1000, (four["p99_ms"] / three["p99_ms"] - 1) * 100
    rows = [
        {"servers": "3 from the start", **three},
        {"servers": "4, one switched off", **four, "noticed_ms": round(noticed), "p99_more_percent": round(more, 2)},
    ]
    return {"machine": here, "failover": rows}


@contextmanager
def _servers(n: int) -> Iterator[list[int]]:
    """A worker and `n` warm servers; yields the servers' processes."""
    words = ("--models", f"{MODEL}:4", "--loaded", MODEL, "--parallel", str(SLOTS), "--tokens-per-s", "0", "--first-token-s", str(ANSWER_S))
    with stage.own_database() as own, stage.served(n, *words) as emulators:
        for number, (url, _) in enumerate(emulators):
            Server.objects.create(name=f"bench-{number}", url=url, budget_gb=64, slots=SLOTS)
        environment = {**own, "QUEUE": "bench", "WORKERS": "1", "CONFIG": ""}
        with stage.program(["qcluster"], environment):
            stage.until(lambda: Engine.objects.filter(owner__in=living()).exists(), 60, "the engine")
            stage.until(lambda: Placement.objects.filter(state="loaded").count() == n, 30, "the servers")
            yield [pid for _, pid in emulators]


def _ask() -> None:
    number = Generation.objects.count()
    submit(
        MODEL, Request(messages=[{"role": "user", "content": f"Say something about the number {number}."}]), caller="bench", now=clock.now()
    )


def _traffic(seconds: float) -> datetime:
    """Ask at the steady pace. Returns when that began."""
    since, began = clock.now(), time.monotonic()
    asked = 0
    while (passed := time.monotonic() - began) < seconds:
        while asked < passed * PER_S:
            _ask()
            asked += 1
        time.sleep(0.005)
    return since


def _noticed(off: datetime) -> datetime:
    """Go on asking until somebody noticed that a server is off; when that was. Raises TimeoutError."""
    out = Server.objects.filter(state="offline", state_since__gte=off).values_list("state_since", flat=True)
    end = time.monotonic() + NOTICED_S
    while time.monotonic() < end:
        if (found := out.first()) is not None:
            return found
        _traffic(1 / PER_S)
    raise TimeoutError(f"nobody noticed within {NOTICED_S:.0f} s that a server was off")


def _measured(since: datetime) -> dict[str, float]:
    """Wait for the last answer; figures of what was asked since then, and of failures from the very start."""
    rows = Generation.objects.all()
    stage.until(lambda: not rows.filter(state__in=["queued", "running"]).exists(), 60, "the last answer")
    after = rows.filter(state="done", queued_at__gte=since).values_list("queued_at", "ended_at")
    waits = [(ended - queued).total_seconds() * 1000 for queued, ended in after if ended]
    return {
        "answers": len(waits),
        **{f"{name}_ms": value for name, value in spread(waits, 1).items()},
        "seen_to_fail": rows.exclude(state="done").count(),
        "asked_again": rows.filter(attempts__gt=1).count(),
        "asked_again_after": rows.filter(attempts__gt=1, queued_at__gte=since).count(),
    }
