"""What the cluster's simulations ask and look at."""

from collections.abc import Sequence
from itertools import count as numbers
from typing import Any

from cluster import queue
from cluster.lmstudio.emulator import Emulator
from cluster.logic.request import Request
from cluster.models import Generation, Placement, Server
from swwbot_site.lib import clock
from tests.harness import Background, until

_number = numbers(1)
SMALL, MEDIUM = "maker/small:4", "maker/medium:8"


def ask(model: str, n: int = 1, **over: Any) -> list[int]:
    """Queue `n` different requests for a model; returns their ids."""
    return [
        queue.submit(
            model,
            Request(messages=[{"role": "user", "content": f"Tell me about a penguin, no. {next(_number)}!"}]),
            **{"caller": "test", "now": clock.now()} | over,
        )
        for _ in range(n)
    ]


def done(ids: Sequence[int]) -> list[Generation]:
    """Wait until all of these are answered; returns them."""
    rows = Generation.objects.filter(pk__in=ids)
    until(lambda: rows.filter(state="done").count() == len(ids), what=f"{len(ids)} answers")
    found = list(rows.select_related("server", "model").order_by("id"))
    assert all(g.text for g in found)
    return found


def online(n: int = 1) -> None:
    """Wait until so many servers are online."""
    until(lambda: Server.objects.filter(state="online", listed_at__isnull=False).count() == n, what=f"{n} servers online")


def loaded(model: str, n: int = 1) -> list[Placement]:
    """Wait until so many placements of a model are loaded; returns them."""
    rows = Placement.objects.filter(model__key=model, state="loaded").select_related("server")
    until(lambda: rows.count() == n, what=f"{n} times {model}")
    return list(rows)


def release(background: Background, *emulators: Emulator) -> None:
    """Let the answers that would have to wait for their first token begin now, and those to come at once."""
    for emulator in emulators:
        emulator.set(first_token_s=0.0)
        for instance in list(emulator.work.machine.instances.values()):
            for job in list(instance.running):
                background.loop.call_soon_threadsafe(job.lost.set)


def count(emulator: Emulator, event: str) -> int:
    """How often something happened on an emulated server."""
    return emulator.work.machine.counters[event]


def unharmed(*emulators: Emulator) -> None:
    """No server was asked for more than its memory, and nothing was unloaded while it served."""
    for emulator in emulators:
        assert count(emulator, "unloaded_while_serving") == 0
        assert count(emulator, "guardrail") == 0
        assert emulator.work.machine.used <= emulator.work.machine.budget
