"""Runs the bot on this machine: database, web server, workers, and with --demo emulated peers."""

import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from swwbot_site import startup
from swwbot_site.lib.errors import BotError


class Command(BaseCommand):
    """`manage.py up`, until Ctrl-C."""

    help = "Run everything on this machine until Ctrl-C: database, web server, workers; with --demo also emulated peers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="with two emulated LM Studio servers, an emulated chat and sample personas")
        parser.add_argument(
            "--config", default=settings.CONFIG, metavar="FILE", help="configuration to import and to watch (default: $CONFIG)"
        )
        parser.add_argument("--host", default="127.0.0.1", help="address the web server listens on")
        parser.add_argument("--port", type=int, default=8000, help="port of the web server")
        parser.add_argument("--no-web", action="store_true", help="workers only")
        parser.add_argument("--workers", type=int, help="worker processes (default: $WORKERS or 2)")

    def handle(self, *args: Any, **options: Any) -> None:
        wishes = startup.Wishes(
            demo=options["demo"],
            config="" if options["demo"] else options["config"],
            host=options["host"],
            port=options["port"],
            web=not options["no_web"],
            workers=options["workers"],
            colour=sys.stdout.isatty() and not options["no_color"],
        )
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            startup.run(wishes, startup.writer())
        except BotError as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt:
            self.stderr.write("stopped")
