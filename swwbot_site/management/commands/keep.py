"""`manage.py keep MODEL SERVER`: have a model stay loaded on a server."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cluster import swap, warm
from swwbot_site.lib.errors import BotError


class Command(BaseCommand):
    help = "Have MODEL loaded on SERVER as soon as there is room, and never evicted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", metavar="MODEL")
        parser.add_argument("server", metavar="SERVER", help="its name")
        parser.add_argument("--off", action="store_true", help="keep it there no longer; it stays until something else needs the room")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            offer = warm.offer(swap.named(options["model"]), options["server"])
        except BotError as exc:
            raise CommandError(str(exc)) from exc
        changed = warm.keep([offer.pk], on=not options["off"])
        told = "may leave again" if options["off"] else "stays loaded as soon as there is room"
        self.stdout.write(f"{offer}: {told}{'' if changed else ', as before'}.")
