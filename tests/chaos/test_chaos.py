"""Everything goes wrong, again and again, and nothing is lost, doubled, overfilled or left behind.

`make chaos` runs it for a minute, `make chaos SIZE=night SEED=7` for two hours; in the whole suite it runs for some seconds, with one seed.
"""

import heapq
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from cluster.models import Generation, Placement, Seat, Server
from conversations.models import Engine
from swwbot_site.lib import leases
from tests.chaos.checks import Asked, harmed, lost, twice
from tests.chaos.schedule import SIZES, Trouble, schedule
from tests.chaos.stage import ATTEMPTS, Stage, database
from tests.chaos.traffic import AWAY, Callers, Watcher
from tests.chaos.witness import MARK
from tests.harness import Background, story, until

LATER_S: Final = 0.3
SIZE = os.environ.get("CHAOS_SIZE", "short")
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.fixture
def stage(background: Background, run_folder: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    folder = run_folder / "chaos"
    with django_db_blocker.unblock(), database(folder) as server:
        stage = Stage(background, server, folder, SEED)
        try:
            stage.begin()
            yield stage
        finally:
            stage.close()


@pytest.mark.slow
def test_chaos(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    size = SIZES[SIZE]
    troubles = schedule(SEED, size)
    say: Callable[[str], None] = print if "CHAOS_SIZE" in os.environ else _silent
    with capsys.disabled():
        say(f"\nchaos: size {SIZE}, seed {SEED}, {len(troubles)} troubles in {size.seconds:.0f} s")
        callers, watcher = Callers(SEED, size.rate), Watcher()
        watcher.start()
        callers.start()
        play(stage, troubles, say)
        callers.stop()
        say("over; waiting for the rest")
        until(lambda: not unsettled(stage), size.calm_s, f"size {SIZE}, seed {SEED}: an end of the work")
        watcher.stop()
        stage.stop_workers()
        rows = told(callers)
        say(f"{watcher.looks} looks, {len(stage.deaths.killed)} engines killed; ended: {dict(Counter(row.state for row in rows))}")
        calls = [call for server in stage.servers for call in server.calls]
        say(f"{len(calls)} chats, {sum(call.completed is not None for call in calls)} of them whole; attempts failed:")
        say(str(dict(Counter(code for row in rows for code in row.tried).most_common())))
    wrong = [*watcher.wrong, *lost(callers.submitted, rows, ATTEMPTS), *twice(rows, calls, stage.deaths), *left_behind()]
    for one in stage.servers:
        wrong += harmed(one.name, one.work.machine.budget, one.memory.peak, one.memory.overbooked, one.memory.killed)
    listing = "\n".join(str(trouble) for trouble in troubles)
    assert wrong == [], f"size {SIZE}, seed {SEED}:\n" + "\n".join(wrong) + f"\n{listing}\n{story()}\n{stage.said()}"


def _silent(_: str) -> None:
    """In the whole suite, only a failure speaks."""


def play(stage: Stage, troubles: tuple[Trouble, ...], say: Callable[[str], None]) -> None:
    """Let every trouble begin and end at its time; what needs the database while that is away happens a little later."""
    began = time.monotonic()
    todo = [(one.at, number, False, one) for number, one in enumerate(troubles)]
    todo += [(one.ends, number, True, one) for number, one in enumerate(troubles) if one.lasts]
    heapq.heapify(todo)
    while todo:
        at, number, ending, trouble = heapq.heappop(todo)
        while (left := began + at - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            stage.supervise()
        try:
            (stage.mend if ending else stage.strike)(trouble)
        except AWAY:
            connection.close()
            heapq.heappush(todo, (at + LATER_S, number, ending, trouble))
        else:
            say(f"{'over: ' if ending else ''}{trouble}")


def unsettled(stage: Stage) -> list[str]:
    """What keeps the run from its end: work that is not done, servers that are not well."""
    stage.supervise()
    working = Generation.objects.filter(state__in=["queued", "running"])
    moving = Placement.objects.filter(state__in=["loading", "unloading"])
    ill = Server.objects.exclude(state="online")
    return [*map(str, working), *map(str, Seat.objects.all()), *map(str, moving), *(f"{one} is {one.state}" for one in ill)]


def told(callers: Callers) -> list[Asked]:
    """Every request as it ended."""
    return [_asked(row, callers) for row in Generation.objects.select_related("server").order_by("id")]


def _asked(row: Generation, callers: Callers) -> Asked:
    found = MARK.search(row.request["messages"][0]["content"])
    number = int(found[1]) if found else -1
    return Asked(
        number=number,
        state=row.state,
        text=row.text,
        server=row.server.name if row.server else "",
        error=row.error,
        attempts=row.attempts,
        tried=[one["code"] for one in row.tried],
        deadline=row.deadline.timestamp() if row.deadline else None,
        ended=row.ended_at.timestamp() if row.ended_at else None,
        cancelled=number in callers.called_off,
    )


def left_behind() -> list[str]:
    """What is still held now that every worker has ended."""
    held = {
        "seats": Seat.objects.all(),
        "leases of generations": Generation.objects.filter(lease_owner__isnull=False),
        "leases of placements": Placement.objects.filter(lease_owner__isnull=False),
        "leases of looks at servers": Server.objects.filter(probe_lease_owner__isnull=False),
        "engines": Engine.objects.filter(ended_at__isnull=True, owner__in=leases.living()),
    }
    return [f"{rows.count()} {what} are left: {list(rows[:5])}" for what, rows in held.items() if rows.exists()]
