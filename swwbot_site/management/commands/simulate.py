"""`manage.py simulate TRACE`: what the planner would make of a recorded or an invented load, without any server. See docs/simulate.md."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.markup import escape
from rich.table import Table

from cluster.logic.simulation import chart
from cluster.logic.simulation.changes import FORMS
from cluster.logic.simulation.study import Run, document, study
from cluster.logic.simulation.tally import Class, Figures
from cluster.logic.simulation.trace import machines, parse
from cluster.logic.simulation.values import Fleet, Trace, TraceError
from cluster.logic.state import PlanPolicy
from cluster.waiting import BANDS
from swwbot_site.lib import terminal
from swwbot_site.management import drawing

FORMATS = (".svg", ".png")
FEW = 6
"""So many priorities are shown one by one, more in bands."""


class Command(BaseCommand):
    """Needs no database and no server; equal input gives an equal answer."""

    help = "Runs the planner against a model of the servers, from a trace, and compares strategies and changes."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The trace, and what to make of it."""
        parser.add_argument("trace", help="the trace: a file of JSON lines as record-trace writes it, or - for the standard input")
        parser.add_argument("--strategy", default=PlanPolicy().strategy, help="one or several, with commas (default %(default)s)")
        parser.add_argument("--servers", help="so many servers instead of the trace's, or a JSON file that lists them")
        parser.add_argument("--what-if", action="append", default=[], metavar="CHANGE", help=f"compare with a change; repeatable: {FORMS}")
        parser.add_argument("--shares", action="store_true", help="entities have fair shares; otherwise arrival and priority count alone")
        parser.add_argument("--plot", type=Path, metavar="FILE", help="draw memory over time into FILE.svg or FILE.png")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, simulate, show."""
        plot, what_if = options["plot"], options["what_if"]
        try:
            if plot is not None:
                _drawable(plot)
            trace = _read(options["trace"])
            if options["servers"]:
                trace = replace(trace, fleet=_refitted(trace.fleet, options["servers"]))
            names = [name for part in options["strategy"].split(",") if (name := part.strip())]
            runs = study(trace, names, what_if, time.perf_counter, shares=options["shares"])
        except (TraceError, drawing.NoDrawingError) as exc:
            raise CommandError(str(exc)) from exc
        told = document(options["trace"], trace, runs, what_if, shares=options["shares"])
        drawn = [_draw(run, plot, told["trace"]["name"], len(runs) > 1) for run in runs] if plot is not None else []
        if options["json"]:
            self.stdout.write(json.dumps({**told, "plots": [str(path) for path in drawn]}, indent=2))
            return
        console = terminal.console(self.stdout)
        kept, fleet = told["trace"], trace.fleet
        console.print(
            f"{escape(kept['name'])}: {kept['requests']} requests in {kept['seconds']:.0f} s,"
            f" {kept['servers']} servers, {kept['models']} models, {fleet.patience_s:g} s of patience."
            + (f" Requests of the first {fleet.warm_s:g} s are not counted, their loads are." if fleet.warm_s else "")
        )
        for sentence in what_if:
            console.print(f"[bold]changed[/]: {escape(sentence)}")
        console.print(_table(runs))
        for run in runs:
            for model, why in run.result.figures.impossible.items():
                console.print(f"[red]never served[/] ({_title(run, runs)}): {escape(model)}: {escape(why)}")
        for path in drawn:
            console.print(f"Drawn: {escape(str(path))}")


def _read(name: str) -> Trace:
    if name == "-":
        return parse(sys.stdin)
    try:
        with Path(name).open(encoding="utf-8") as lines:
            return parse(lines)
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"The trace cannot be read: {exc}") from exc


def _refitted(fleet: Fleet, given: str) -> Fleet:
    """The fleet with other servers."""
    if given.isdecimal():
        return replace(fleet, servers=machines(int(given), fleet.template))
    try:
        found = json.loads(Path(given).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise CommandError(f"--servers takes a number, or a JSON file with a list of servers; {given} is neither: {exc}") from exc
    listed = found.get("servers") if isinstance(found, dict) else found
    return replace(fleet, servers=machines(listed, fleet.template))


def _drawable(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise CommandError(f"--plot {path}: say a file that ends in .svg or .png.")
    if not path.absolute().parent.is_dir():
        raise CommandError(f"--plot {path}: there is no folder {path.absolute().parent}.")
    if path.suffix.lower() == ".png":
        drawing.ready()


def _draw(run: Run, plot: Path, name: str, several: bool) -> Path:
    """Write one run's picture; where there are several runs, each has its own file."""
    path = plot.with_stem(f"{plot.stem}-{run.strategy}-{run.case}") if several else plot
    figures = run.result.figures
    title = f"Memory over time: {run.strategy}" + (", changed" if run.case == "changed" else "")
    subtitle = f"{Path(name).name}: {len(run.fleet.servers)} servers, {figures.loads} loads, {figures.rejected_percent:.2f} % rejected"
    picture = chart.memory(run.result, run.fleet, title, subtitle)
    if path.suffix.lower() == ".png":
        drawing.png(picture, path)
    else:
        path.write_text(chart.svg(picture), encoding="utf-8")
    return path


def _title(run: Run, runs: Sequence[Run]) -> str:
    changed = any(one.case == "changed" for one in runs)
    return f"{run.strategy}, {run.case}" if changed else run.strategy


ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("requests counted", lambda f: str(f.requests)),
    ("started", lambda f: str(f.started)),
    ("finished", lambda f: str(f.finished)),
    ("rejected", lambda f: f"{f.rejected} ({f.rejected_percent:.2f} %)"),
    ("response p50, s", lambda f: _s(f.response_s.p50)),
    ("response p95, s", lambda f: _s(f.response_s.p95)),
    ("response p99, s", lambda f: _s(f.response_s.p99)),
    ("loads per 1000 requests", lambda f: f"{f.loads_per_1000:.2f}"),
    ("GB loaded per 1000 requests", lambda f: f"{f.gb_per_1000:.1f}"),
    ("evictions", lambda f: str(f.evictions)),
    ("unloads without need", lambda f: str(f.unloads)),
    ("model in memory on arrival", lambda f: f"{f.warm_percent:.1f} %"),
    ("fairness over entities (Jain)", lambda f: f"{f.fairness:.3f}"),
    ("least served entity", lambda f: f"{f.served_least_percent:.1f} %"),
)


def _table(runs: Sequence[Run]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    for run in runs:
        table.add_column(_title(run, runs), justify="right")
    for name, cell in ROWS:
        table.add_row(name, *(cell(run.result.figures) for run in runs))
    for name, chosen in _bands({priority for run in runs for priority in run.result.figures.priorities}):
        table.add_row(f"longest wait, {name}, s", *(_longest(run.result.figures, chosen) for run in runs))
    table.add_row("planner calls", *(str(run.result.timing.calls) for run in runs))
    table.add_row("planner p50 / p99, ms", *(f"{_s(run.result.timing.ms.p50)} / {_s(run.result.timing.ms.p99)}" for run in runs))
    return table


def _bands(priorities: Iterable[int]) -> list[tuple[str, frozenset[int]]]:
    """The rows of waits: each priority alone, or bands where there are many."""
    known = sorted(priorities)
    if len(known) <= FEW:
        return [(f"priority {priority}", frozenset({priority})) for priority in known]
    found, first = [], 0
    for name, last in BANDS:
        chosen = frozenset(priority for priority in known if first <= priority <= last)
        if chosen:
            found.append((f"{name} (priority {first}–{last})", chosen))
        first = last + 1
    return found


def _longest(figures: Figures, chosen: frozenset[int]) -> str:
    there: list[Class] = [one for priority, one in figures.priorities.items() if priority in chosen]
    return _s(max((one.longest_wait_s for one in there if one.started), default=None))


def _s(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"
