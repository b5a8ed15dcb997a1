"""`manage.py doctor`: is every part well, and what to do if not."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.markup import escape
from rich.table import Table

from swwbot_site.lib import terminal
from swwbot_site.monitoring.doctor import Part, Verdict, examine

MARKS = {Verdict.WELL: "[green]well[/]", Verdict.WARNING: "[yellow]warning[/]", Verdict.FAULT: "[bold red]FAULT[/]"}


class Command(BaseCommand):
    """Exit code 0 if nothing is at fault (warnings are no faults), otherwise 1."""

    help = "Says of each part whether it is well, and what to do if not."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The one switch."""
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, show, and fail if something is at fault."""
        parts = examine()
        faults = sum(part.verdict is Verdict.FAULT for part in parts)
        if options["json"]:
            self.stdout.write(json.dumps({"well": not faults, "parts": [asdict(part) for part in parts]}, indent=2))
        else:
            terminal.console(self.stdout).print(_table(parts))
        if faults:
            raise CommandError(f"{faults} {'part is' if faults == 1 else 'parts are'} not well.", returncode=1)
        if not options["json"]:
            warnings = sum(part.verdict is Verdict.WARNING for part in parts)
            self.stdout.write(f"All is well{f', with {warnings} warnings' if warnings else ''}.")


def _table(parts: tuple[Part, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("part", "", "state", "what we see"):
        table.add_column(name, overflow="fold")
    last = ""
    for part in parts:
        text = escape(part.text) + (f"\n[bold]→ {escape(part.advice)}[/]" if part.advice and part.verdict is not Verdict.WELL else "")
        table.add_row("" if part.part == last else part.part, escape(part.name), MARKS[part.verdict], text)
        last = part.part
    return table
