"""`manage.py importconfig FILE`: bring the rows to what a configuration file, or a folder of them, says."""

import shutil
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from swwbot_site.config import report, sheaf, watch
from swwbot_site.config.apply import Diff, apply
from swwbot_site.config.problems import DocumentError


class Command(BaseCommand):
    help = "Import a configuration file (config-aientities.json): all of it, or nothing if it has an error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the file, a folder with ai-entities/*.json, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--if-changed", action="store_true", help="only if this machine has not read this content before")
        parser.add_argument("--source", metavar="NAME", help="import as if the file had this name")

    def handle(self, *args: Any, **options: Any) -> None:
        path: str = options["file"]
        try:
            diff = self._imported(path, options)
        except OSError as exc:
            raise CommandError(f"{path} cannot be read: {exc.strerror or exc}") from exc
        except DocumentError as exc:
            self._table(report.problems(exc.problems, **self._paper()))
            raise CommandError(f"{path} is not imported, nothing has changed: {exc}") from exc
        if diff is None:
            self.stdout.write(f"{path}: this machine has read it before; nothing to do")
            return
        self._table(report.problems(diff.warnings, **self._paper()))
        self._table(report.changes(diff, **self._paper()))
        self.stdout.write(f"{diff.source}: {diff}{' (dry run: nothing is written)' if options['dry_run'] else ''}")

    def _imported(self, path: str, options: dict[str, Any]) -> Diff | None:
        if options["if_changed"]:
            if path == "-" or options["dry_run"] or options["source"]:
                raise CommandError("--if-changed needs a FILE, and goes neither with --dry-run nor with --source")
            return watch.changed(Path(path))
        content = sys.stdin.buffer.read() if path == "-" else sheaf.read(Path(path))
        return apply(content, options["source"] or ("stdin" if path == "-" else watch.name(Path(path))), dry=options["dry_run"])

    def _paper(self) -> dict[str, Any]:
        return {"width": max(shutil.get_terminal_size((120, 40)).columns, 60), "colour": self.stdout.isatty()}

    def _table(self, text: str) -> None:
        if text:
            self.stdout.write(text)
