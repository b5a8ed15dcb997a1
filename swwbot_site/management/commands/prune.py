"""`manage.py prune`: throw old rows away now, or only say how many would go."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.db import connection, transaction
from rich.table import Table

from swwbot_site.lib import clock, terminal
from swwbot_site.lib.pruning import Cut, Kind
from swwbot_site.retention import rounds
from swwbot_site.retention.kinds import kinds
from swwbot_site.retention.row import Retention

MANY: Final = 10_000
"""Rows that are looked at in one go when nothing is deleted."""


class Command(BaseCommand):
    """What an engine does every hour; a round that an engine has begun is taken to its end together with it."""

    help = "Throws away what is older than the retention policy keeps, in small batches. Engines do so by themselves every hour."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="delete nothing; say of each kind how many would go at once")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        found = _would_go(clock.now()) if options["dry_run"] else _round()
        size = _size()
        if options["json"]:
            self.stdout.write(json.dumps({"gone": found, "dry_run": options["dry_run"], "database_bytes": size}, indent=2))
            return
        table = Table("what", "would go" if options["dry_run"] else "gone")
        table.columns[1].justify = "right"
        for name, count in found.items():
            table.add_row(name, f"{count:,}")
        console = terminal.console(self.stdout)
        console.print(table if found else "Nothing is old enough to go.")
        console.print(f"The database takes {size / 1e9:.2f} GB. What is freed is used again, not given back to the disk.")


def _round() -> Mapping[str, int]:
    """A whole round, or the rest of one."""
    rounds.begin(clock.now())
    last = _ended()
    while True:
        pause = rounds.advance(clock.now())
        row = Retention.objects.get(pk=1)
        if row.ended_at != last and not row.kind:
            return dict(row.counts)
        time.sleep(min(pause, rounds.BUSY.total_seconds()))


def _ended() -> datetime | None:
    return Retention.objects.values_list("ended_at", flat=True).get(pk=1)


def _would_go(now: datetime) -> Mapping[str, int]:
    """How many rows of each kind may go as things are; what only refers to one of them would free more."""
    policy = Retention.objects.filter(pk=1).first() or Retention()
    return {kind.name: count for kind, before in kinds(policy, now, marked=False) if (count := _count(kind, Cut(before=before, size=MANY)))}


def _count(kind: Kind, cut: Cut) -> int:
    count, more = 0, True
    while more:
        with transaction.atomic():
            chosen = kind.choose(cut)
        count, more = count + len(chosen.ids), chosen.more and chosen.position > cut.after
        cut = replace(cut, after=chosen.position)
    return count


def _size() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])
