"""`manage.py requeue NUMBER …`: answers that ended without a post are brought on their way again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from conversations.requeue import Refused, requeue


class Command(BaseCommand):
    """What was written is posted under its old id, so that it is never doubled; what was not is asked of the model again."""

    help = "Brings failed or dropped answers on their way again, within the limits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which ones."""
        parser.add_argument("replies", nargs="+", type=int, help="their numbers, as the list of replies and manage.py trace show them")
        parser.add_argument("--by", default="the command line", help="who wants them again, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        """Each by itself; at the end, fail if one was refused."""
        refused = 0
        for number in options["replies"]:
            try:
                state = requeue(number, options["by"])
            except Refused as why:
                refused += 1
                self.stderr.write(str(why))
            else:
                self.stdout.write(f"Reply {number} is {state.value}.")
        if refused:
            raise CommandError(f"{refused} of {len(options['replies'])} cannot be requeued.")
