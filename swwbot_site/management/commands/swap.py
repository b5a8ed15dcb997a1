"""`manage.py swap OLD NEW`: let a newer version take the place of a model, without a gap."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cluster import swap
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError


class Command(BaseCommand):
    help = "Have NEW loaded beside OLD, and then answer everything that asks for OLD; OLD leaves memory when it is idle."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("old", metavar="OLD", help="the model that requests name")
        parser.add_argument("new", metavar="NEW", nargs="?", help="the model that is to answer them; a server must have it on its disk")
        parser.add_argument("--undo", action="store_true", help="let OLD answer for itself again")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["new"]) == options["undo"]:
            raise CommandError("Name the NEW model, or write --undo.")
        try:
            self.stdout.write(self._undo(options["old"]) if options["undo"] else self._swap(options["old"], options["new"]))
        except BotError as exc:
            raise CommandError(str(exc)) from exc

    def _undo(self, name: str) -> str:
        old = swap.named(name)
        return f"{old} answers for itself again." if swap.undo(old) else f"{old} has no successor; nothing to do."

    def _swap(self, name: str, successor: str) -> str:
        old, new = swap.named(name), swap.named(successor)
        if swap.swap(old, new, clock.now()):
            return f"{new} takes the place of {old} as soon as it is loaded; until then {old} answers. `console` shows when."
        old.refresh_from_db()
        return f"{new} has taken the place of {old} already." if old.replaced_at else f"{new} is on its way already."
