"""`manage.py trace ID`: one message's way through all stages."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from cluster.explain import Explanation, explained
from conversations.trace import Journey, Step, Way, find, trace
from swwbot_site.lib import terminal
from swwbot_site.lib.words import short
from swwbot_site.models import Event

FIRST: Final = ("why", "mode", "yes", "rules", "chance", "dice", "pick", "left")
"""The facts of a verdict that are told first, in this order."""


class Command(BaseCommand):
    """Reads rows only."""

    help = "Shows one message's way through all stages, with times and every attempt."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which message, and how to show it."""
        text = "the feed's message id, an outgoing id, message:NUMBER, reply:NUMBER, or a bare number (a message's before a reply's)"
        parser.add_argument("id", help=text)
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find, read, show."""
        found = find(options["id"])
        if not found:
            raise CommandError(
                f"There is no message or answer {options['id']!r}, or it is not kept any more. The lists of both in the admin show their ids."
            )
        journeys = [(trace(pk), pk) for pk in found]
        if options["json"]:
            told = [
                {
                    **asdict(journey),
                    "cluster": [asdict(why) for why in _reasons(journey).values()],
                    "events": [_told(event) for event in _events(journey)],
                }
                for journey, _ in journeys
            ]
            self.stdout.write(json.dumps(told, indent=2, default=str))
            return
        console = terminal.console(self.stdout)
        for journey, _ in journeys:
            _show(console, journey)


def _events(journey: Journey) -> list[Event]:
    subjects = [f"message:{journey.message}", *(f"reply:{way.reply}" for way in journey.ways)]
    subjects += [f"generation:{way.generation}" for way in journey.ways if way.generation]
    return list(Event.objects.filter(subject__in=subjects).order_by("id")[:200])


def _reasons(journey: Journey) -> dict[int, Explanation]:
    """What the cluster decided, by generation."""
    return explained(way.generation for way in journey.ways if way.generation)


def _told(event: Event) -> dict[str, Any]:
    return {"at": event.at.isoformat(), "kind": event.kind, "level": event.level, "text": event.text, "detail": event.detail}


def _show(console: Console, journey: Journey) -> None:
    name = f"message:{journey.message}, {journey.remote_id} in {journey.feed}"
    console.print(Panel(escape(f"{journey.username or 'anon'} ({journey.kind}): {journey.text}"), title=escape(name), title_align="left"))
    begin = next(step.at for step in journey.steps if step.at is not None)
    console.print(_steps(journey.steps, begin))
    console.print(_facts("verdict", journey.verdict))
    why = _reasons(journey)
    for way in journey.ways:
        _answer(console, way, begin, why)
    events = _events(journey)
    if events:
        console.print("\n[bold]Events[/]")
        for event in events:
            console.print(f"  {event.at:%H:%M:%S.%f}"[:-3] + f" {escape(event.kind)}: {escape(short(event.text, 200))}")


def _why(console: Console, why: Explanation) -> None:
    """What the cluster decided, the runners-up with their scores, and the attempts that failed."""
    for name, text in why.lines():
        console.print(f"  [bright_black]{name}[/] {escape(text)}")
    for one in why.contenders:
        score = ", ".join(f"{name} {value}" for name, value in one.score)
        mark = "chosen" if one.chosen else "instead of"
        console.print(
            f"    [bright_black]{mark}[/] " + escape(f"{one.server}: {one.expected_s:g} s expected, {one.in_flight} in flight; {score}")
        )
    for number, attempt in enumerate(why.attempts, 1):
        text = f"{attempt.server or 'no server'}, {attempt.code}: {attempt.text} (again: {attempt.retry})"
        console.print(f"  [bright_black]attempt {number}[/] {escape(text)}")


def _answer(console: Console, way: Way, begin: datetime, why: Mapping[int, Explanation]) -> None:
    console.print(f"\n[bold]reply:{way.reply}[/] {escape(way.username)} ({escape(way.entity)}): [bold]{way.state}[/]")
    console.print(_steps(way.steps, begin))
    console.print(_facts("verdict", {name: value for name, value in way.verdict.items() if name != "shown"}))
    if decided := why.get(way.generation or 0):
        _why(console, decided)
    if way.written and way.written != way.text:
        console.print(Panel(escape(way.written), title="written by the model", title_align="left"))
    if way.text:
        console.print(Panel(escape(way.text), title="answer", title_align="left"))


def _steps(steps: Iterable[Step], begin: datetime) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(width=14)
    table.add_column(width=12)
    table.add_column(width=10, justify="right")
    table.add_column(overflow="fold")
    for step in steps:
        mark = "[green]●[/]" if step.at else "[bright_black]○[/]"
        clocked = f"{step.at:%H:%M:%S.%f}"[:-3] if step.at else "–"
        after = f"+{(step.at - begin).total_seconds():.3f} s" if step.at else ""
        table.add_row(f"{mark} {step.name}", clocked, after, escape(step.note))
    return table


def _facts(title: str, facts: Mapping[str, Any]) -> str:
    """The facts in one line, what people ask first before all others; those that say nothing are left out."""
    first = {name: facts[name] for name in FIRST if name in facts}
    shown = [f"{name}: {_said(value)}" for name, value in {**first, **facts}.items() if value not in (None, "", [], {})]
    return f"  [bright_black]{title}[/] " + escape("; ".join(shown)) if shown else ""


def _said(value: Any) -> str:
    """A fact as people say it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} ({_said(one)})" for name, one in value.items() if one not in (None, "", [], {}))
    if isinstance(value, list):
        return ", ".join(_said(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
