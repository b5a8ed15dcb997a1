"""`manage.py scenario`: golden conversations of entities, played, kept and exchanged. See docs/scenarios.md."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.markup import escape
from rich.table import Table

from conversations import scenario
from conversations.logic.reading import Unreadable, load
from conversations.scenario import Result
from swwbot_site.lib import terminal
from swwbot_site.lib.errors import BotError


class Command(BaseCommand):
    """Plays scenarios, unless it is told to do something else with them."""

    help = "Plays golden conversations of entities and says which of them fail; ends with status 1 if one does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and with which of them."""
        verbs = ("run", "add", "export", "require", "optional")
        parser.add_argument(
            "verb", nargs="?", choices=verbs, default="run", help="run (the default), add FILE, export [FILE], require, optional"
        )
        parser.add_argument(
            "path", nargs="?", default="", metavar="FILE", help="what to add, or where to export to; - for standard input and output"
        )
        parser.add_argument("--entity", default="", metavar="ID", help="only those of one entity")
        parser.add_argument("--name", default="", help="only the one of this name")
        parser.add_argument("--file", default="", metavar="FILE", help="run those of a file instead of those that are kept")
        parser.add_argument("--models", choices=("stub", "real"), default="stub", help="real: ask the cluster, and look at the texts too")
        parser.add_argument("--required", action="store_true", help="add them as required ones")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except (BotError, Unreadable) as exc:
            raise CommandError(str(exc)) from exc
        except OSError as exc:
            raise CommandError(f"{exc.filename or 'The file'} cannot be read or written: {exc.strerror or exc}") from exc

    def _run(self, options: dict[str, Any]) -> None:
        real = options["models"] == "real"
        if options["file"]:
            results = scenario.rehearse(_read(options["file"]), options["entity"], real=real)
        else:
            results = scenario.run(options["entity"], options["name"], real=real)
        if options["json"]:
            self.stdout.write(json.dumps([one.document() for one in results], indent=2, ensure_ascii=False))
        else:
            terminal.console(self.stdout).print(_table(results))
        if failed := [one for one in results if not one.passed]:
            raise CommandError(f"{len(failed)} of {len(results)} scenarios failed.")
        if not options["json"]:
            self.stdout.write(f"{len(results)} scenarios passed.")

    def _add(self, options: dict[str, Any]) -> None:
        if not options["path"]:
            raise CommandError("Name the file: scenario add FILE.")
        kept = scenario.add(_read(options["path"]), options["entity"], required=True if options["required"] else None)
        self.stdout.write("\n".join(f"kept {one}" for one in kept))

    def _export(self, options: dict[str, Any]) -> None:
        text = json.dumps(scenario.export(options["entity"]), indent=2, ensure_ascii=False)
        if options["path"] in ("", "-"):
            self.stdout.write(text)
        else:
            Path(options["path"]).write_text(f"{text}\n", encoding="utf-8")

    def _require(self, options: dict[str, Any]) -> None:
        scenario.require(options["entity"], options["name"], True)
        self.stdout.write(f"{options['entity']} is only changed if “{options['name']}” passes.")

    def _optional(self, options: dict[str, Any]) -> None:
        scenario.require(options["entity"], options["name"], False)
        self.stdout.write(f"{options['entity']} may be changed whether or not “{options['name']}” passes.")


def _read(path: str) -> Any:
    text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8", errors="replace")
    return load(text, path)


def _table(results: list[Result]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("entity", "scenario", "", "what is wrong"):
        table.add_column(name, overflow="fold")
    for one in results:
        verdict = "[green]passed[/]" if one.passed else "[red]failed[/]"
        name = f"{one.name} (required)" if one.required else one.name
        table.add_row(escape(one.entity), escape(name), verdict, escape("\n".join(one.problems)))
    return table
