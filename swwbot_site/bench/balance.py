"""How evenly equal servers are used: one model on all of them, and fewer requests at once than there are slots."""

from contextlib import ExitStack
from typing import Final

from django.db.models import Count

from cluster.models import Generation
from swwbot_site.bench import traffic

MODEL: Final = "bench/shared"
SERVERS: Final = 4
SLOTS: Final = 4
LATENCY_MS: Final = 20
IN_FLIGHT: Final = 8
LIMIT_S: Final = 180.0


def run(generations: int, engines: tuple[int, ...] = (1, 2, 4)) -> list[dict[str, object]]:
    """One row per number of engines: how many of `generations` each server answered, and the busiest's part of the mean."""
    servers = {f"bench-{n}": traffic.words(MODEL, LATENCY_MS) for n in range(1, SERVERS + 1)}
    found = []
    with traffic.hall(servers, SLOTS) as hall, ExitStack() as stack:
        for wanted in engines:
            while len(hall.engines) < wanted:
                stack.enter_context(traffic.engine(hall, len(hall.engines) + 1))
            found.append(_spread(hall, generations))
    return found


def _spread(hall: traffic.Hall, generations: int) -> dict[str, object]:
    Generation.objects.all().delete()
    traffic.keep(hall, MODEL, IN_FLIGHT, LIMIT_S, generations)
    traffic.drain(hall)
    done = Generation.objects.filter(state="done")
    counts = dict(done.order_by().values_list("server__name").annotate(n=Count("id")))
    total = sum(counts.values())
    return {
        "engines": len(hall.engines),
        "generations": total,
        "not_done": Generation.objects.exclude(state="done").count(),
        "busiest_to_mean": round(max(counts.values()) / (total / SERVERS), 3) if counts else 0.0,
        "by_server": dict(sorted(counts.items())),
    }
