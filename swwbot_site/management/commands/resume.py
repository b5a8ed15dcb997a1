"""`manage.py resume`: answers are posted again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from conversations.stop import resume


class Command(BaseCommand):
    """What waited and is not too late goes out at once, each answer once."""

    help = "Lets answers be posted again after manage.py stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who, for the record."""
        parser.add_argument("--by", default="the command line", help="who resumes it, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume, and say how it stands."""
        self.stdout.write("Answers are posted again." if resume(options["by"]) else "Posting was not stopped.")
