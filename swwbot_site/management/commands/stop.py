"""`manage.py stop`: nothing is posted anywhere until `manage.py resume`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from conversations import read
from conversations.stop import stop


class Command(BaseCommand):
    """Every engine on every machine obeys within a second; reading, deciding and generating go on."""

    help = "Stops all posting, everywhere, within a second."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who and why, for the record."""
        parser.add_argument("--why", default="", help="the reason, for the record")
        parser.add_argument("--by", default="the command line", help="who stops it, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        """Stop, and say how it stands."""
        if stop(options["by"], options["why"]):
            self.stdout.write("Posting is stopped. Let it go on with manage.py resume.")
        else:
            self.stdout.write(f"It was stopped already. {read.stopped() or 'Somebody has just resumed it: stop again.'}")
