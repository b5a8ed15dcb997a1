"""`manage.py replay`: a recorded stretch decided once more, by the personas as they are or as they would be. See docs/replay.md."""

import json
import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from conversations import recorded
from conversations.logic import archive
from conversations.logic.cast import Cast
from conversations.logic.comparison import Kind, Report, kind, reason
from conversations.logic.outcome import Outcome
from conversations.logic.reading import Unreadable
from conversations.logic.recording import Recording
from conversations.replay import PATIENCE_S, Setting, replay
from entities import read
from entities.imagined import Imagined
from swwbot_site.config import sheaf, whatif
from swwbot_site.config.document import Document, DocumentError
from swwbot_site.lib import clock, terminal
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import short

AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")
SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}
FEW: Final = 40
"""So many messages are shown."""

Tick = Callable[[str, int, int], None]


class Command(BaseCommand):
    """Rows are only read; with --models real requests are queued, and nothing is posted."""

    help = "Decides a recorded stretch once more, with the same or other personas, and shows the difference to what was done."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What is replayed, with whom, and how it is shown."""
        parser.add_argument("--feed", default="", metavar="NAME", help="the feed; needed where there are several")
        parser.add_argument("--since", metavar="TIME", help="2026-11-20T12:00:00Z, or 2h for two hours ago (s, min, h, d)")
        parser.add_argument("--until", metavar="TIME", help="the same; without it, until now")
        parser.add_argument("--limit", type=int, metavar="N", help="at most so many messages, the first ones")
        parser.add_argument(
            "--file", metavar="FILE", help="a recording instead of the database, as --record writes it; - for standard input"
        )
        parser.add_argument("--record", metavar="FILE", help="only write the stretch into a file; - for standard output")
        parser.add_argument("--config", type=Path, metavar="FILE", help="with what a configuration file or folder says, besides the rows")
        parser.add_argument("--personas", type=Path, metavar="FILE", help="with the entities of a configuration file or folder alone")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="ID.SETTING=VALUE",
            help="with one setting changed: owl.responseChance=0.5; repeatable",
        )
        parser.add_argument("--strategy", default="", metavar="NAME", help="how those who answer by chance are chosen, everywhere")
        parser.add_argument("--models", choices=("stub", "real"), default="stub", help="real: ask the cluster what would be said")
        parser.add_argument("--seconds", type=float, default=PATIENCE_S, help="how long real models may take in all (default %(default)g)")
        parser.add_argument("--all", action="store_true", help="show all messages that somebody answers, not only the first differences")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, decide, show."""
        try:
            document = _document(options)
            imagined = whatif.personas(document, options["set"], alone=options["personas"] is not None)
            it = self._recording(options, imagined)
            if options["record"]:
                self._record(options["record"], it)
                return
            if document is not None:
                it = replace(it, house=whatif.house(document, it.house))
            setting = Setting(
                cast=Cast.of(imagined.personas),
                rules=imagined.rules,
                strategy=options["strategy"],
                real=options["models"] == "real",
                patience_s=options["seconds"],
            )
            console = terminal.console(self.stdout)
            with _progress(console, quiet=options["json"]) as tick:
                report = replay(it, setting, tick)
        except DocumentError as exc:
            raise CommandError(f"The configuration cannot be used: {exc}") from exc
        except (BotError, Unreadable) as exc:
            raise CommandError(str(exc)) from exc
        except OSError as exc:
            raise CommandError(f"{exc.filename or 'The file'} cannot be read or written: {exc.strerror or exc}") from exc
        if options["json"]:
            self.stdout.write(json.dumps(report.document(), indent=2, ensure_ascii=False))
        else:
            _show(console, it, report, whole=options["all"], real=setting.real)

    def _recording(self, options: dict[str, Any], imagined: Imagined) -> Recording:
        since, until = (_moment(options[name], f"--{name}") for name in ("since", "until"))
        if options["file"]:
            if since or until or options["feed"]:
                raise CommandError("--file is a stretch of its own: it goes neither with --feed nor with --since and --until.")
            text = sys.stdin.read() if options["file"] == "-" else Path(options["file"]).read_text(encoding="utf-8", errors="replace")
            it = archive.read(text.splitlines(), Cast.of(imagined.personas))
            kept = [one for one in it.heard if one.judged][: options["limit"]] if options["limit"] else None
            return it if kept is None else _cut(it, {one.line.remote_id for one in kept})
        feed = recorded.feed(options["feed"])
        it = recorded.recorded(feed, since, until, options["limit"], read.rules())
        lost = since is not None and feed.forgotten is not None and clock.millis(since) <= feed.forgotten
        told = f" What was said up to {clock.moment(feed.forgotten or 0):%Y-%m-%d %H:%M} UTC is not all kept any more." if lost else ""
        if not it.heard:
            raise CommandError(f"There is no message in {it.house.name} then.{told}")
        if told:
            self.stderr.write(told.strip())
        return it

    def _record(self, path: str, it: Recording) -> None:
        text = "".join(f"{line}\n" for line in archive.written(it))
        if path == "-":
            self.stdout.write(text, ending="")
            return
        Path(path).write_text(text, encoding="utf-8")
        self.stdout.write(f"{path}: {sum(one.judged for one in it.heard)} messages of {it.house.name}, with what surrounds them.")


def _document(options: dict[str, Any]) -> Document | None:
    if options["config"] and options["personas"]:
        raise CommandError("Either --config, which adds to the rows, or --personas, which takes their place.")
    path: Path | None = options["config"] or options["personas"]
    return whatif.document(sheaf.read(path)) if path else None


def _moment(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    if found := AGO.fullmatch(text.strip()):
        return clock.now() - timedelta(seconds=float(found[1]) * SECONDS[found[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise CommandError(f"{name} is {text!r}; write 2026-11-20T12:00:00Z, or 2h for two hours ago.") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cut(it: Recording, kept: set[str]) -> Recording:
    """Without the judged messages that are not kept."""
    return replace(it, heard=tuple(one for one in it.heard if not one.judged or one.line.remote_id in kept))


@contextmanager
def _progress(console: Console, *, quiet: bool) -> Iterator[Tick]:
    """A bar on a terminal; nothing elsewhere."""
    if quiet or not console.is_terminal:
        yield lambda what, done, whole: None
        return
    with Progress(console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tick(what: str, done: int, whole: int) -> None:
            task = tasks.get(what) or tasks.setdefault(what, bar.add_task(what))
            bar.update(task, completed=done, total=max(whole, done))

        yield tick


def _show(console: Console, it: Recording, report: Report, *, whole: bool, real: bool) -> None:
    answered = [one for one in report.outcomes if whole or real or kind(one) not in (Kind.SAME, Kind.SILENT)]
    shown = answered if whole else answered[:FEW]
    if shown:
        console.print(_messages(shown, real=real))
    if len(answered) > len(shown):
        console.print(f"… and {len(answered) - len(shown)} more; --all shows them")
    _sums(console, report)
    then, now = sum(report.then.values()), sum(report.now.values())
    parts = ", ".join(f"{report.kinds[one]} {one.value}" for one in Kind if report.kinds[one])
    console.print(f"{escape(it.house.name)}: {report.decided} messages; answers then {then}, now {now} ({parts}).")
    console.print("[green]difference: none[/]" if not report.differences else f"[yellow]difference: {report.differences} messages[/]")


def _messages(outcomes: list[Outcome], *, real: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("at", "message", "", "then", "now", "why"):
        table.add_column(name, overflow="fold")
    for one in outcomes:
        line = one.heard.line
        then = "\n".join(_said(each.slug, each.text if real else "") for each in one.then)
        now = "\n".join(_said(each.said.slug, each.written or "") for each in one.now)
        cells = (
            f"{one.heard.arrived:%m-%d %H:%M:%S}", short(f"{line.username or 'anon'}: {line.text}", 60), kind(one).value, then, now,
            short(reason(one), 200),
        )  # fmt: skip
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _said(slug: str, text: str) -> str:
    return f"{slug}: {short(text, 300)}" if text else slug


def _sums(console: Console, report: Report) -> None:
    slugs = sorted({*report.then, *report.now})
    if slugs:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("entity", "then", "now"):
            table.add_column(name, justify="left" if name == "entity" else "right")
        for slug in slugs:
            table.add_row(escape(slug), str(report.then[slug]), str(report.now[slug]))
        console.print(table)
    for (slug, what), times in sorted(report.limits.items()):
        console.print(f"  [bright_black]limits of[/] {escape(slug)} {escape(what)}, {times} time{'' if times == 1 else 's'}")
