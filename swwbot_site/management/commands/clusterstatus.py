"""`manage.py clusterstatus`: servers, memory and queue as the rows know them, once or for as long as somebody watches."""

import json
import signal
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from threading import Event
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from rich.live import Live
from rich.text import Text

from cluster.programs import programs
from cluster.read import overview
from cluster.warm import report
from conversations.read import stopped
from swwbot_site.lib import clock, terminal
from swwbot_site.management import clusterview

DAY: Final = timedelta(days=1)
USUAL_S: Final = 1.0


class Command(BaseCommand):
    """Asks no server: it shows what the engines believe at this moment."""

    help = "Shows servers with what they hold in memory, what loads, what waits for which model, and which programs ask."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Once or for a while, for people or machines."""
        text = f"draw it anew every so many seconds (default {USUAL_S:g}) until Ctrl-C; with --json a line each time"
        parser.add_argument("--watch", nargs="?", type=_interval, const=USUAL_S, metavar="SECONDS", help=text)
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and show."""
        if options["watch"] is not None:
            self._watch(options["watch"], machine=options["json"])
        elif options["json"]:
            self.stdout.write(json.dumps(_told(), indent=2, default=str))
        else:
            now = clock.now()
            clusterview.show(terminal.console(self.stdout), overview(), report(now - DAY), stopped(), now, programs(now))

    def _watch(self, seconds: float, *, machine: bool) -> None:
        """Until SIGINT or SIGTERM, which end it as it should end. A database that is away for a while is waited for."""
        with _stop() as stop:
            if machine:
                while not stop.is_set():
                    self.stdout.write(json.dumps(_told(), default=str))
                    self.stdout.flush()
                    stop.wait(seconds)
                return
            console = terminal.console(self.stdout)
            if not console.is_terminal:  # a pipe or a file: one picture after the other
                while not stop.is_set():
                    console.print(_drawn(console.width), "")
                    stop.wait(seconds)
                return
            with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
                while not stop.is_set():
                    live.update(_drawn(console.width), refresh=True)
                    stop.wait(seconds)


def _drawn(width: int) -> Any:
    try:
        now = clock.now()
        return clusterview.whole(overview(), None, stopped(), now, width, programs(now))
    except DatabaseError as error:
        connection.close()
        return Text(f"The database does not answer: {str(error).splitlines()[0]}\nWaiting for it.", style="red")


def _told() -> dict[str, Any]:
    """The same for machines."""
    stop, now = stopped(), clock.now()
    asking = [asdict(one) for one in programs(now)]
    return {**asdict(overview()), "programs": asking, "warmth": asdict(report(now - DAY)), "stopped": stop and asdict(stop)}


@contextmanager
def _stop() -> Iterator[Event]:
    """Set by SIGINT and SIGTERM while the block runs."""
    stop = Event()
    before: dict[int, Callable[..., Any] | int | None] = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise ArgumentTypeError(f"{text!r} is no number of seconds between 0.1 and 3600")
    return seconds
