"""`manage.py record-trace --since 2h [OUT]`: the own history as a trace for `simulate`. See docs/simulate.md."""  # noqa: N999  # People type a hyphen.

import json
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from cluster.history import History, NoHistoryError, history
from swwbot_site.lib import clock

SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")
SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


class Command(BaseCommand):
    """Reads rows only, and writes line by line."""

    help = "Writes what was asked of the servers as a trace, for simulate. It has no texts; it names servers, models and callers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """From when to when, and where to."""
        parser.add_argument("out", nargs="?", type=Path, help="the file to write (default: the standard output)")
        parser.add_argument(
            "--since", required=True, help="how long ago (90s, 30min, 2h, 7d), or a date or time (2026-11-21, 2026-11-21T18:00)"
        )
        parser.add_argument("--until", help="the same; default: now")
        parser.add_argument("--patience", type=float, help="seconds that a request may wait; default: what the deadlines say")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and write."""
        now = clock.now()
        since = moment(options["since"], now)
        until = moment(options["until"], now) if options["until"] else now
        if since >= until:
            raise CommandError(f"--since {options['since']} is not before --until: nothing lies between them.")
        if options["patience"] is not None and options["patience"] <= 0:
            raise CommandError("--patience is a number of seconds above 0.")
        try:
            found = history(since, until, options["patience"])
        except NoHistoryError as exc:
            raise CommandError(str(exc)) from exc
        out: Path | None = options["out"]
        if out is None:
            for line in _lines(found):
                self.stdout.write(line)
            return
        part = out.with_name(f"{out.name}.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in _lines(found))
            part.replace(out)
        except OSError as exc:
            raise CommandError(f"The trace cannot be written: {exc}") from exc
        servers, models = len(found.meta["servers"]), len(found.meta["models"])
        self.stdout.write(f"{found.count} requests, {models} models, {servers} servers: {out}. Next: manage.py simulate {out}")


def _lines(found: History) -> Iterator[str]:
    yield json.dumps({"meta": found.meta}, ensure_ascii=False)
    for request in found.requests:
        yield json.dumps(request, ensure_ascii=False, separators=(",", ":"))


def moment(text: str, now: datetime) -> datetime:
    """The moment that a span back from now, a date or a time means. Raises CommandError."""
    if span := SPAN.fullmatch(text.strip().lower()):
        return now - timedelta(seconds=float(span[1]) * SECONDS[span[2]])
    try:
        day = parse_date(text)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001  # Made aware below.
    except ValueError as exc:
        raise CommandError(f"{text!r} is no such day or time: {exc}.") from exc
    if found is None:
        raise CommandError(f"{text!r} is neither a span (90s, 30min, 2h, 7d) nor a date or time (2026-11-21, 2026-11-21T18:00).")
    return timezone.make_aware(found) if timezone.is_naive(found) else found
