"""`manage.py console`: a line for everything that happens on any machine, until interrupted."""

import signal
import sys
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand

from swwbot_site.monitoring.console import follow


class Command(BaseCommand):
    """Follows the events of all workers."""

    help = "Writes a readable line for everything that happens from now on, on any machine."

    def handle(self, *args: Any, **options: Any) -> None:
        """Follow until SIGINT or SIGTERM."""
        stop = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        follow(stop, lambda line: print(line, flush=True), colour=sys.stdout.isatty())  # noqa: T201 - this is what it is for
