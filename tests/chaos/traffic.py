"""What goes on beside the troubles: somebody who asks all the time, and somebody who looks at the rows."""

import threading
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from random import Random
from typing import Final

from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import Count

from cluster import queue
from cluster.logic.lifecycle import HELD
from cluster.logic.request import Request
from cluster.models import Generation, Placement, Seat, Server
from swwbot_site.lib import clock
from tests.chaos.checks import Held, overfull
from tests.chaos.stage import KEYS

AWAY: Final = (OperationalError, InterfaceError)
LOOK_S: Final = 0.1
PATIENCE_S: Final = 15.0
"""The deadline of those who have one."""


class Beside(threading.Thread):
    """A thread with its own connection, until it is told to stop. A database that is away is waited for."""

    def __init__(self, name: str, pause_s: float) -> None:
        super().__init__(name=name, daemon=True)
        self.failed: Exception | None = None
        self._pause_s = pause_s
        self._stop_now = threading.Event()

    def run(self) -> None:
        try:
            while not self._stop_now.wait(self._pause_s):
                try:
                    self.turn()
                except AWAY:
                    connection.close()
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise it to: `stop` does
            self.failed = error
        finally:
            connections.close_all()

    def turn(self) -> None:
        """One round."""

    def stop(self) -> None:
        self._stop_now.set()
        self.join(60)
        assert not self.is_alive(), f"{self.name} did not stop"
        if self.failed:
            raise self.failed


class Callers(Beside):
    """Queue one request after the other: the popular models more often, some urgent, some with a deadline, some called off again."""

    def __init__(self, seed: int, rate: float) -> None:
        super().__init__("callers", 1 / rate)
        self.submitted: list[int] = []
        self.called_off: set[int] = set()
        self._dice = Random(f"callers {seed}")
        self._weights = [1 / rank for rank in range(1, len(KEYS) + 1)]
        self._order = self._dice.sample(KEYS, len(KEYS))
        self._unsure: dict[str, object] | None = None

    def turn(self) -> None:
        wish = self._unsure or self._wish()
        text = f"No. {wish['number']}: tell me something about a penguin and a lighthouse, please."
        again, self._unsure = self._unsure is not None, wish
        known = Generation.objects.filter(request__messages__0__content=text).values_list("pk", flat=True).first() if again else None
        pk = known or self._submit(text, wish)
        self.submitted.append(int(str(wish["number"])))
        self._unsure = None
        if wish["fickle"] and queue.cancel(pk, clock.now(), "its caller changed its mind"):
            self.called_off.add(int(str(wish["number"])))

    def _wish(self) -> dict[str, object]:
        dice = self._dice
        return {
            "number": len(self.submitted) + 1,
            "model": dice.choices(self._order, self._weights)[0],
            "priority": dice.choice((10, 50, 50, 50, 90)),
            "patient": dice.random() < 0.9,
            "fickle": dice.random() < 0.03,
            "caller": f"entity:{dice.choice('abcdef')}",
        }

    def _submit(self, text: str, wish: dict[str, object]) -> int:
        now = clock.now()
        return queue.submit(
            str(wish["model"]),
            Request(messages=[{"role": "user", "content": text}]),
            caller=str(wish["caller"]),
            now=now,
            priority=int(str(wish["priority"])),
            deadline=None if wish["patient"] else now + timedelta(seconds=PATIENCE_S),
        )


class Watcher(Beside):
    """Look at the rows again and again, each time as they are at one moment, and keep what is not as it must be."""

    def __init__(self) -> None:
        super().__init__("watcher", LOOK_S)
        self.wrong: Counter[str] = Counter()
        self.looks = 0
        self._budgets = dict(Server.objects.values_list("name", "budget_gb"))

    def turn(self) -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            held = list(placed())
            self.wrong.update(overfull(held, self._budgets))
            self.wrong.update(f"{one.seats} seats are taken of a model on {one.server}" for one in held if one.seats > 8)
            unseated = Generation.objects.filter(state="running").exclude(pk__in=Seat.objects.values("generation_id"))
            idle = Seat.objects.filter(generation__isnull=False).exclude(generation__state="running")
            self.wrong.update(f"generation {pk} runs without a seat" for pk in unseated.values_list("pk", flat=True))
            self.wrong.update(f"generation {pk} has a seat and does not run" for pk in idle.values_list("generation_id", flat=True))
        self.looks += 1


def placed() -> Iterable[Held]:
    """What holds memory at this moment."""
    rows = Placement.objects.filter(state__in=HELD).annotate(taken=Count("seats"))
    for name, created, gb, adopted, taken in rows.values_list("server__name", "created_at", "gb", "adopted", "taken"):
        yield Held(server=name, made=created.timestamp(), gb=gb, adopted=adopted, seats=taken)
