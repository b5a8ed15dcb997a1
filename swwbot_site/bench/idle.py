"""What a worker takes while nothing happens: four emulated servers to look at and one feed to poll, as often as by default.

Counted is from when the start's own work is over: every server was looked at, and the first round of retention has ended.
"""

import time
from contextlib import ExitStack
from typing import Final

from django.db import connection

from conversations.models import Feed
from swwbot_site import processes
from swwbot_site.bench import stage, traffic
from swwbot_site.bench.figures import Cores
from swwbot_site.retention.row import Retention

SERVERS: Final = 4
SETTLING_S: Final = 5.0
"""After the first round, until what it has written is on the disk."""


def run(seconds: float) -> dict[str, object]:
    """CPU of the engine, of its whole worker and of Postgres, in percent of one core, and transactions a second, over so long."""
    words = {f"bench-{n}": traffic.words(f"bench/{n % 2}", 0) for n in range(SERVERS)}
    port = next(port for port in range(24400, 24999) if processes.port_is_free("127.0.0.1", port))
    with traffic.hall(words, traffic.SLOTS) as hall, ExitStack() as stack:
        stack.enter_context(stage.program(["emulate", "feed", "--port", str(port), "--no-chatter"], {}))
        stage.until(lambda: processes.port_answers(port), 30, "the feed")
        Feed.objects.create(name="bench", url=f"http://127.0.0.1:{port}/api")
        pid = stack.enter_context(traffic.engine(hall, 1))
        stage.until(lambda: Feed.objects.filter(polled_at__isnull=False).exists(), 60, "the first poll")
        stage.until(lambda: Retention.objects.filter(ended_at__isnull=False, kind="").exists(), 120, "the first round of retention")
        time.sleep(SETTLING_S)
        groups = {"engine": pid, "whole worker": hall.engines[pid], "postgres": hall.database}
        before, cores = _commits(), Cores(groups, families=["whole worker", "postgres"])
        time.sleep(seconds)
        spent, commits = cores.spent(), _commits() - before
        hall.look()
        return {
            "counted": f"{seconds:.0f} s, after the first round of retention",
            "cpu_percent": {name: round(value / seconds * 100, 2) for name, value in spent.items()},
            "transactions_per_s": round(commits / seconds, 1),
            "rss_mb": round(hall.rss_mb, 1),
        }


def _commits() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
