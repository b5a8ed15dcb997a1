"""`manage.py exportconfig [FILE]`: the rows as a configuration file."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from swwbot_site.config import export


class Command(BaseCommand):
    help = "Write servers, settings, feeds and entities as one configuration file, without tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="the file to write (default: standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        text = export.text()
        if options["file"] == "-":
            self.stdout.write(text, ending="")
            return
        path = Path(options["file"])
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        except OSError as exc:
            beside.unlink(missing_ok=True)
            raise CommandError(f"{path} cannot be written: {exc.strerror or exc}") from exc
        self.stdout.write(f"{path} written")
