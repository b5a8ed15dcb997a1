"""`manage.py clusterstatus`: servers, memory and queue as the rows know them."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster.read import Held, Machine, overview
from cluster.waiting import Waiting
from cluster.warm import Warmth, report
from conversations.read import stopped
from swwbot_site.lib import clock, terminal
from swwbot_site.lib.words import ago, span

WIDTH = 24
DAY = timedelta(days=1)
COLOURS = ("blue", "cyan", "magenta", "yellow", "green", "bright_red", "bright_cyan", "bright_magenta")
STATES = {"online": "green", "offline": "red", "misconfigured": "yellow", "rate-limited": "yellow", "unknown": "yellow"}


class Command(BaseCommand):
    """Asks no server: it shows what the engines believe at this moment."""

    help = "Shows servers with what they hold in memory, and what waits for which model."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The one switch."""
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and show."""
        view, warmth, stop = overview(), report(clock.now() - DAY), stopped()
        if options["json"]:
            told = {**asdict(view), "warmth": asdict(warmth), "stopped": stop and asdict(stop)}
            self.stdout.write(json.dumps(told, indent=2, default=str))
            return
        console = terminal.console(self.stdout)
        if stop:
            console.print(f"[bold red]{escape(str(stop))}[/]\n")
        console.print(_servers(view.servers) if view.servers else "No server yet: add one in the admin, or import a configuration.")
        console.print(f"\n[bold]Queue[/]: {view.waiting} wait, {view.running} are being answered")
        if view.queue:
            console.print(_queue(view.queue))
        if warmth.preloads:
            console.print(_warmth(warmth))


def _servers(servers: tuple[Machine, ...]) -> Table:
    now = clock.now()
    table = Table(title="Servers", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("server", "state", "memory", "", "in flight", "models"):
        table.add_column(name, overflow="fold")
    for one in servers:
        state = "switched off" if not one.enabled else "draining" if one.draining and one.state == "online" else one.state
        shown = f"[{STATES.get(one.state, 'white') if one.enabled else 'bright_black'}]{state}[/]"
        if one.enabled and one.state != "online":
            shown += f"\n{escape(one.reason or 'not asked yet')}" + (f", asked again {ago(one.retry_at, now)}" if one.retry_at else "")
        table.add_row(
            escape(one.name),
            shown,
            _bar(one),
            f"{one.held_gb:.0f}/{one.budget_gb:.0f} GB",
            f"{one.in_flight}/{one.slots}",
            _models(one, now),
        )
    return table


def _bar(server: Machine) -> RenderableType:
    """The memory, one colour a model, a dot for what is free."""
    full = max(server.budget_gb, server.held_gb)
    bar, used = Text(), 0
    for number, held in enumerate(server.held):
        cells = min(WIDTH - used, max(1, round(WIDTH * held.gb / full)))
        bar.append(("█" if held.state == "loaded" else "▒") * cells, style=COLOURS[number % len(COLOURS)])
        used += cells
    bar.append("·" * (WIDTH - used), style="bright_black")
    return bar


def _doing(held: Held, now: datetime) -> str:
    """What a model does there now."""
    if held.progress is not None:
        return f"loading, about {held.progress:.0%}, for {span(now - held.since)}"
    if held.state != "loaded":
        return held.state
    resting = f", failed too often, asked again {ago(held.rest_until, now)}" if held.rest_until and held.rest_until > now else ""
    return f"{held.in_flight}/{held.slots}{', pinned' * held.pinned}{resting}"


def _models(server: Machine, now: datetime) -> Text:
    lines = Text()
    for number, held in enumerate(server.held):
        lines.append("\n" * bool(number))
        lines.append("■ ", style=COLOURS[number % len(COLOURS)])
        lines.append(f"{held.model} {held.gb:.0f} GB, {_doing(held, now)}")
    return lines or Text("–")


def _queue(queue: tuple[Waiting, ...]) -> Table:
    now = clock.now()
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("model", "waiting", "by priority", "longest", "why"):
        table.add_column(name, overflow="fold")
    for one in queue:
        bands = ", ".join(f"{name} {count}" for name, count in one.bands.items())
        table.add_row(escape(one.model), str(one.count), bands, span(now - one.since), escape(one.why))
    return table


def _warmth(warmth: Warmth) -> str:
    """One line about the guesses."""
    rate = "" if warmth.hit_rate is None else f" ({warmth.hit_rate:.0%} of those known)"
    return (
        f"\n[bold]Loaded before anybody asked[/], in a day: {warmth.preloads}, {warmth.hits} were asked for{rate}, "
        f"{warmth.misses} for nothing ({warmth.wasted_gb:.0f} GB)"
    )
