"""The cluster as tables for the terminal: servers with their memory, what loads, what waits."""

from datetime import datetime, timedelta
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cluster.programs import Program
from cluster.read import Held, Machine, Overview
from cluster.waiting import Waiting
from cluster.warm import Warmth
from conversations.read import Stop
from swwbot_site.lib.words import ago, span

WIDTH: Final = 24
NARROW: Final = 80
"""In fewer columns each server has lines of its own instead of a row."""

COLOURS: Final = ("blue", "cyan", "magenta", "yellow", "green", "bright_red", "bright_cyan", "bright_magenta")
STATES: Final = {"online": "green", "offline": "red", "misconfigured": "yellow", "rate-limited": "yellow", "unknown": "yellow"}
EMPTY: Final = "No server yet: add one in the admin, or import a configuration."


def whole(
    view: Overview, warmth: Warmth | None, stop: Stop | None, now: datetime, width: int, programs: tuple[Program, ...] = ()
) -> RenderableType:
    """Everything, for a terminal of so many columns."""
    parts: list[RenderableType] = []
    if stop:
        parts.append(f"[bold red]{escape(str(stop))}[/]\n")
    if not view.servers:
        parts.append(EMPTY)
    elif width < NARROW:
        parts.extend(_narrow(one, now, width) for one in view.servers)
    else:
        parts.append(_servers(view.servers, now))
    if any(held.progress is not None for one in view.servers for held in one.held):
        parts.append(_loads(view.servers, now, width))
    parts.append(f"\n[bold]Queue[/]: {view.waiting} wait, {view.running} are being answered")
    if view.queue:
        parts.append(_queue(view.queue, now))
    if programs:
        parts.append(_programs(programs, now))
    if warmth and warmth.preloads:
        parts.append(_warmth(warmth))
    return Group(*parts)


def show(
    console: Console, view: Overview, warmth: Warmth | None, stop: Stop | None, now: datetime, programs: tuple[Program, ...] = ()
) -> None:
    """Print it."""
    console.print(whole(view, warmth, stop, now, console.width, programs))


def _servers(servers: tuple[Machine, ...], now: datetime) -> Table:
    table = Table(title="Servers", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("server", "state", "memory", "", "in flight", "models"):
        table.add_column(name, overflow="fold")
    for one in servers:
        memory, flight = f"{one.held_gb:.0f}/{one.budget_gb:.0f} GB", f"{one.in_flight}/{one.slots}"
        table.add_row(escape(one.name), _state(one, now), _bar(one, WIDTH), memory, flight, _models(one, now))
    return table


def _narrow(server: Machine, now: datetime, width: int) -> RenderableType:
    """One server below the other."""
    head = f"[bold]{escape(server.name)}[/] {_state(server, now)}  {server.in_flight}/{server.slots} in flight"
    memory = Text.assemble(_bar(server, max(8, min(WIDTH, width - 14))), f" {server.held_gb:.0f}/{server.budget_gb:.0f} GB")
    return Group(head, memory, _models(server, now), "")


def _state(server: Machine, now: datetime) -> str:
    state = "switched off" if not server.enabled else "draining" if server.draining and server.state == "online" else server.state
    shown = f"[{STATES.get(server.state, 'white') if server.enabled else 'bright_black'}]{state}[/]"
    if server.enabled and server.state != "online":
        shown += f"\n{escape(server.reason.rstrip('.') or 'not asked yet')}"
        shown += f"; asked again {ago(server.retry_at, now)}" if server.retry_at else ""
    return shown


def _bar(server: Machine, width: int) -> Text:
    """The memory, one colour a model, a dot for what is free."""
    full = max(server.budget_gb, server.held_gb)
    bar, used = Text(), 0
    for number, held in enumerate(server.held):
        cells = min(width - used, max(1, round(width * held.gb / full)))
        bar.append(("█" if held.state == "loaded" else "▒") * cells, style=COLOURS[number % len(COLOURS)])
        used += cells
    bar.append("·" * (width - used), style="bright_black")
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


def _loads(servers: tuple[Machine, ...], now: datetime, width: int) -> Table:
    """A bar for each load, and how long it should still take."""
    table = Table(title="\nLoading", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("model", "on", "", "", "left"):
        table.add_column(name, overflow="fold", no_wrap=name in ("", "left"))
    for one in servers:
        for held in one.held:
            if held.progress is not None:
                bar = ProgressBar(total=1.0, completed=held.progress, width=max(6, min(WIDTH, width // 5)))
                table.add_row(escape(held.model), escape(one.name), bar, f"{held.progress:.0%}", left(held, now))
    return table


def left(held: Held, now: datetime) -> str:
    """How long a load should still take, by what it took before."""
    if held.expected_s is None:
        return "–"
    rest = timedelta(seconds=held.expected_s) - (now - held.since)
    return f"about {span(rest)}" if rest > timedelta() else f"{span(-rest)} longer than usual"


def _queue(queue: tuple[Waiting, ...], now: datetime) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("model", "waiting", "by priority", "longest", "why"):
        table.add_column(name, overflow="fold")
    for one in queue:
        bands = ", ".join(f"{name} {count}" for name, count in one.bands.items())
        table.add_row(escape(one.model), str(one.count), bands, span(now - one.since), escape(one.why))
    return table


def _programs(programs: tuple[Program, ...], now: datetime) -> Table:
    """Who asks from outside, and what came of it in five minutes."""
    table = Table(
        title="\nPrograms, in 5 minutes", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False
    )
    for name in ("token", "answered", "failed", "running", "waiting", "tokens", "last", "models"):
        table.add_column(name, overflow="fold")
    for one in programs:
        models = ", ".join(f"{model} {n}" for model, n in one.models)
        numbers = (f"{'over ' * one.partial}{one.done}", one.failed, one.running, one.waiting, one.tokens)
        table.add_row(escape(one.name), *map(str, numbers), ago(one.last, now), escape(models))
    return table


def _warmth(warmth: Warmth) -> str:
    """One line about the guesses."""
    rate = "" if warmth.hit_rate is None else f" ({warmth.hit_rate:.0%} of those known)"
    return (
        f"\n[bold]Loaded before anybody asked[/], in a day: {warmth.preloads}, {warmth.hits} were asked for{rate}, "
        f"{warmth.misses} for nothing ({warmth.wasted_gb:.0f} GB)"
    )
