"""The cluster measured in one run: planning, reading rows, a worker at rest, the queue with real workers, balance, the bare transport."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from swwbot_site.bench import balance, idle, planning, stage, traffic, transport
from swwbot_site.bench.figures import machine

Rows = list[dict[str, object]]

PARTS: Final = ("plan", "rows", "http", "idle", "queue", "balance")
LEVELS: Final = (1, 8, 64, 256)
STEADY: Final = 64
"""Requests in flight at a server that takes a second for each: slots are free and nothing is out of breath."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    plans: int = 300
    readings: int = 20
    requests: int = 1500
    seconds: float = 8.0
    idle_s: float = 60.0
    backlog: int = 3000
    generations: int = 10_000
    limit_s: float = 20.0


QUICK: Final = Sizes(plans=30, readings=5, requests=300, seconds=2.0, idle_s=30.0, backlog=400, generations=400, limit_s=5.0)


def sized(*, quick: bool, generations: int | None) -> Sizes:
    """The sizes of a run; `generations` only where it is given."""
    sizes = QUICK if quick else Sizes()
    return sizes if generations is None else replace(sizes, generations=generations)


def run(parts: Iterable[str], sizes: Sizes, engines: int, told: Callable[[str], None]) -> dict[str, object]:
    """The figures of `parts`, with up to `engines` workers for the queue. `told` hears what begins."""
    result: dict[str, object] = {}
    measured: dict[str, Callable[[], object]] = {
        "plan": lambda: planning.run(sizes.plans),
        "rows": lambda: _rows(sizes),
        "http": lambda: _http(sizes),
        "idle": lambda: idle.run(sizes.idle_s),
        "queue": lambda: _queue(sizes, engines),
        "balance": lambda: balance.run(sizes.generations),
    }
    wanted = [part for part in PARTS if part in parts]
    with stage.own_database():
        result["machine"] = machine()
    for part in wanted:
        told(part)
        result[part] = measured[part]()
    return result


def _rows(sizes: Sizes) -> Rows:
    with stage.own_database():
        return [planning.rows(200, 100, waiting, sizes.readings) for waiting in planning.WAITING]


def _http(sizes: Sizes) -> Rows:
    """The same server and the same chats, without the queue."""
    ways = (transport.RAW, transport.BARE, transport.OURS)
    options = (*traffic.words(transport.MODEL, 0), "--parallel", str(traffic.SLOTS), "--tokens-per-s", "0")
    with stage.studios(1, *options) as urls:
        return transport.against(urls[0], transport.MODEL, ways, LEVELS, sizes.requests, sizes.limit_s)


def _queue(sizes: Sizes, engines: int) -> dict[str, object]:
    steady: Rows = []
    levels: Rows = []
    with traffic.latent() as hall, ExitStack() as stack:
        for number in range(1, engines + 1):
            stack.enter_context(traffic.engine(hall, number))
            if number == 1:
                steady.append(traffic.level(hall, 1000, STEADY, sizes.seconds, evenly=True))
            levels += _levels(hall, (0, 50) if number == 1 else (0,), LEVELS if number == 1 else LEVELS[2:], sizes)
        return {"steady": steady, "levels": levels, "rss_mb": round(hall.rss_mb, 1)}


def _levels(hall: traffic.Hall, latencies: Sequence[int], in_flight: Sequence[int], sizes: Sizes) -> Rows:
    found = [traffic.level(hall, latency, n, sizes.seconds) for latency in latencies for n in in_flight]
    return [*found, traffic.backlog(hall, sizes.backlog)]
