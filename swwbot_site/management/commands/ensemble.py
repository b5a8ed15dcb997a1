"""`manage.py ensemble QUESTION`: ask several entities one question, in turn, and have their answers drawn together. See docs/ensembles.md."""

import getpass
import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any, Final, Literal

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape

from conversations import convene, ensemble, ensembles, read
from conversations.convene import Wish
from conversations.ensembles import Course, Spoke
from swwbot_site.lib import clock, terminal
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import span

LOOK_S: Final = 0.2
"""Between two looks while it waits."""


class Command(BaseCommand):
    """The engines do the work; this only writes the question down, and shows what comes of it."""

    help = "Ask several entities one question, each seeing the earlier answers, and have a synthesis written of all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What is asked, of whom, and what to show."""
        parser.add_argument("question", nargs="?", default="", help="without one, the text of --message")
        parser.add_argument(
            "--entities", default="all", metavar="A,B,C|all|N", help="ids in the order of asking, all enabled ones, or N of them"
        )
        parser.add_argument("--synthesizer", metavar="ID", help="the entity that writes the synthesis")
        parser.add_argument("--model", default="", help="the model of the synthesis, if it is not the synthesizer's own")
        parser.add_argument("--message", type=int, metavar="NUMBER", help="the message that is answered")
        parser.add_argument("--post", action="store_true", help="post every answer, and the synthesis, to that message")
        parser.add_argument("--priority", type=int, default=50, help="0 is first, 99 last (default 50)")
        parser.add_argument("--seconds", type=float, help="how long the whole may take (default: 2 minutes a step, at least 10)")
        parser.add_argument(
            "--voice-prompt", default="", metavar="TEXT", help="with {originalQuestion}, {previousContext}, {previousCount}"
        )
        parser.add_argument(
            "--synthesis-prompt", default="", metavar="TEXT", help="with {originalQuestion}, {entityCount}, {entityResponses}"
        )
        parser.add_argument("--key", default="", help="asked twice with one key is asked once; it also draws the N")
        parser.add_argument("--show", type=int, metavar="NUMBER", help="show an ensemble that was asked before")
        parser.add_argument("--cancel", type=int, metavar="NUMBER", help="call one off")
        parser.add_argument("--wait", action="store_true", help="wait for the end, and show each answer as it comes")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, call off, or show."""
        if options["cancel"] is not None:
            self._cancel(options["cancel"])
            return
        number = options["show"] if options["show"] is not None else self._ask(options)
        course = ensembles.course(number)
        if course is None:
            raise CommandError(f"There is no ensemble {number}. The list in the admin shows their numbers.")
        console = None if options["json"] else terminal.console(self.stdout)
        if console:
            _begin(console, course)
        course = self._follow(console, course, wait=options["wait"])
        if console is None:
            self.stdout.write(json.dumps(asdict(course), indent=2, default=str))
        if options["wait"] and course.state != "done":
            raise CommandError(f"Ensemble {number} ended without a synthesis: {course.reason}")

    def _ask(self, options: dict[str, Any]) -> int:
        if not options["synthesizer"]:
            raise CommandError("Name the entity that writes the synthesis: --synthesizer ID.")
        same = {name: options[name] for name in ("question", "synthesizer", "model", "message", "post", "priority", "seconds", "key")}
        prompts = {name: options[name] for name in ("voice_prompt", "synthesis_prompt")}
        try:
            return convene.convene(Wish(who=_who(options["entities"]), asked_by=_caller(), **same, **prompts), clock.now())
        except BotError as error:
            raise CommandError(str(error)) from error

    def _cancel(self, number: int) -> None:
        if not ensemble.cancel(number, _caller(), clock.now()):
            raise CommandError(f"Ensemble {number} is not running.")
        self.stdout.write(f"Ensemble {number} is called off.")

    def _follow(self, console: Console | None, course: Course, *, wait: bool) -> Course:
        """Show the steps that have ended; with `wait`, until all have."""
        shown: set[int] = set()
        if wait and course.running and not read.engines(clock.now()):
            self.stderr.write("No engine is running: nothing is answered before one is (manage.py up).")
        while True:
            for one in course.steps:
                if one.state not in ("waiting", "asked") and one.ordinal not in shown:
                    shown.add(one.ordinal)
                    if console:
                        _show(console, one)
            if not (wait and course.running):
                break
            time.sleep(LOOK_S)
            course = ensembles.course(course.id) or course
        if console:
            _end(console, course)
        return course


def _who(given: str) -> tuple[str, ...] | Literal["all"] | int:
    wanted = given.strip()
    if wanted.lower() == "all":
        return "all"
    if wanted.isdecimal():
        return int(wanted)
    return tuple(name for part in wanted.split(",") if (name := part.strip()))


def _caller() -> str:
    """Who types."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number that the machine has no name for
        return "the command line"


def _begin(console: Console, course: Course) -> None:
    names = ", ".join(one.username for one in course.steps if not one.synthesis)
    console.print(f"[bold]Ensemble {course.id}[/]: {escape(course.question)}")
    console.print(f"  [bright_black]asked in turn[/] {escape(names)}")


def _show(console: Console, one: Spoke) -> None:
    told = ", ".join(text for text in (one.model, one.server, span(one.seconds) if one.seconds is not None else "") if text)
    name = f"{one.username}, the synthesis" if one.synthesis else one.username
    console.print(f"\n[bold]{one.ordinal + 1}. {escape(name)}[/] [bright_black]{escape(told)}[/]")
    if one.text:
        console.print(escape(one.text))
    if one.reason:
        console.print(f"[yellow]{escape(one.reason)}[/]")
    if one.posted:
        console.print(f"[bright_black]its reply is {one.posted}[/]")


def _end(console: Console, course: Course) -> None:
    state = {"done": "[green]done[/]", "running": "[cyan]running[/]"}.get(course.state, f"[red]{course.state}[/]")
    line = f"\nEnsemble {course.id} is {state}: {course.answered} of {course.voices} have answered"
    if course.ended_at:
        line += f", {span(course.ended_at - course.created_at)} in all"
    console.print(line + (f". {escape(course.reason)}" if course.reason else "."))
