"""`manage.py queue`: what waits for a model, and what people do with it."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.markup import escape
from rich.table import Table

from cluster import hurry, queue
from cluster.lines import Entry, entries
from cluster.logic.lifecycle import GenerationState
from cluster.waiting import BANDS
from swwbot_site.lib import clock, terminal
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import short, span

COLOURS = {"queued": "yellow", "running": "cyan", "done": "green", "failed": "red", "expired": "red", "cancelled": "bright_black"}


class Command(BaseCommand):
    """Without a verb: what waits and runs. Ends with 1 if a number was refused."""

    help = "Shows the requests to models that wait and run; calls them off, brings them forward, asks them again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, with which, and which to show."""
        verbs = parser.add_subparsers(dest="verb", metavar="{list,cancel,raise,requeue}")
        listing = verbs.add_parser("list", help="show them (the default)")
        for one in (parser, listing):
            one.add_argument(
                "--state", choices=[*GenerationState], default="", help="only those in this state (default: waiting and running)"
            )
            one.add_argument("--model", default="", help="only those for models with this in their names")
            one.add_argument("--caller", default="", help="only those of callers whose names begin so, for example entity:")
            one.add_argument(
                "--priority", type=_range, default=(0, 99), metavar="N|N-M|BAND", help="a priority, from one to another, or a band"
            )
            one.add_argument("--limit", type=int, default=50, help="show so many (default 50)")
            one.add_argument("--json", action="store_true", help="for machines")
        self._verb(verbs, "cancel", "call requests off, waiting or running")
        self._verb(verbs, "requeue", "ask again: a running one elsewhere, of an ended one a copy that nobody posts")
        raising = self._verb(verbs, "raise", "give waiting requests a more urgent priority, and the turn that goes with it")
        raising.add_argument("--to", type=int, default=0, metavar="N", help="the priority, 0 (default) is first")

    def _verb(self, verbs: Any, name: str, text: str) -> ArgumentParser:
        parser: ArgumentParser = verbs.add_parser(name, help=text)
        parser.add_argument("numbers", nargs="+", type=int, metavar="NUMBER", help="as the list shows them")
        parser.add_argument("--by", default="the command line", help="who wants it, for the record")
        parser.add_argument("--json", action="store_true", help="for machines")
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or do it to each by itself; fail at the end if one was refused."""
        verb = options["verb"] or "list"
        if verb == "list":
            self._list(options)
            return
        deeds: dict[str, Callable[[int], str]] = {
            "cancel": lambda pk: _cancel(pk, options["by"]),
            "requeue": lambda pk: f"Request {hurry.again(pk, options['by'], clock.now())} waits, asked again for {pk}.",
            "raise": lambda pk: f"Request {pk} has its turn at {hurry.hurry(pk, options['to'], options['by']):%H:%M:%S} UTC.",
        }
        told = [_done(deeds[verb], pk) for pk in options["numbers"]]
        if options["json"]:
            self.stdout.write(json.dumps(told, indent=2))
        for one in () if options["json"] else told:
            (self.stdout if one["done"] else self.stderr).write(str(one["text"]))
        refused = sum(not one["done"] for one in told)
        if refused:
            raise CommandError(f"{refused} of {len(told)} were refused.")

    def _list(self, options: dict[str, Any]) -> None:
        if options["limit"] < 1:
            raise CommandError("--limit must be at least 1.")
        first, last = options["priority"]
        rows = entries(
            state=options["state"], model=options["model"], caller=options["caller"], least=first, most=last, limit=options["limit"]
        )
        if options["json"]:
            self.stdout.write(json.dumps([asdict(row) for row in rows], indent=2, default=str))
            return
        terminal.console(self.stdout).print(_table(rows) if rows else "Nothing of that is in the queue.")


def _range(text: str) -> tuple[int, int]:
    """ "7", "10-30", or the name of a band."""
    first = 0
    for name, last in BANDS:
        if text == name:
            return first, last
        first = last + 1
    low, _, high = text.partition("-")
    if not (low.isdecimal() and (high or low).isdecimal() and int(low) <= int(high or low) <= 99):
        raise ArgumentTypeError(f"{text!r} is no priority: write 0 to 99, two of them as 10-30, or {', '.join(name for name, _ in BANDS)}")
    return int(low), int(high or low)


def _cancel(pk: int, who: str) -> str:
    if not queue.cancel(pk, clock.now(), f"called off by {who}"):
        raise hurry.NotQueued(f"Request {pk} neither waits nor runs.")
    return f"Request {pk} is called off."


def _done(deed: Callable[[int], str], pk: int) -> dict[str, object]:
    try:
        return {"id": pk, "done": True, "text": deed(pk)}
    except (BotError, ValueError) as refusal:
        return {"id": pk, "done": False, "text": str(refusal)}


def _table(rows: Sequence[Entry]) -> Table:
    now = clock.now()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("number", "state", "prio", "model", "caller", "since", "server", "why"):
        table.add_column(name, overflow="fold", no_wrap=name in ("number", "state", "prio", "since"))
    for row in rows:
        since = span((row.ended_at or now) - row.queued_at)
        state = f"[{COLOURS[row.state]}]{row.state}[/]"
        cells = (row.model, row.caller, since, row.server or "–", short(row.why, 120) if row.why else "")
        table.add_row(str(row.id), state, str(row.priority), *(escape(cell) for cell in cells))
    return table
