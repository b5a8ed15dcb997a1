"""`manage.py entity`: personas, what their limits leave them, and what people do with them."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from cluster import queue
from conversations.rehearse import Trial, outcome, rehearse
from entities import clone, read, switch
from entities.logic.persona import Persona
from entities.logic.quota import Quota
from swwbot_site.lib import clock, terminal
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import ago, short

LOOK_S = 0.2
"""How often it is looked what became of a trial."""


class Command(BaseCommand):
    """Without a verb: the list."""

    help = "Shows personas with what their limits leave; switches, clones and tries them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, and with whom."""
        parser.add_argument("--json", action="store_true", help="for machines")
        verbs = parser.add_subparsers(dest="verb", metavar="{list,show,enable,disable,clone,try}")
        self._verb(verbs, "list", "all of them (the default)", many=None)
        self._verb(verbs, "show", "one, with every limit", many=False)
        self._verb(verbs, "enable", "switch on", many=True)
        self._verb(verbs, "disable", "switch off", many=True).add_argument("--why", default="", help="the reason, for the record")
        cloning = self._verb(verbs, "clone", "make a copy, switched off", many=False)
        cloning.add_argument("copy", metavar="NEW", help="the copy's id")
        cloning.add_argument("--username", default="", help="the name it posts under (default: the same)")
        trying = self._verb(verbs, "try", "have its model answer, and post nothing; an engine must be running", many=False)
        trying.add_argument("said", nargs="*", metavar="WORDS", help="what is said to it (default: the newest message)")
        trying.add_argument("--message", type=int, metavar="NUMBER", help="answer the message of this number, with what was said before")
        trying.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="wait so long (default 120), then call it off")

    def _verb(self, verbs: Any, name: str, text: str, *, many: bool | None) -> ArgumentParser:
        parser: ArgumentParser = verbs.add_parser(name, help=text)
        if many is not None:
            parser.add_argument("slugs", nargs="+" if many else 1, metavar="ID", help="the entity's id")
        parser.add_argument("--by", default="the command line", help="who does it, for the record")
        parser.add_argument("--json", action="store_true", help="for machines")
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, do, show."""
        verb = options["verb"] or "list"
        chosen = self._chosen(options.get("slugs"))
        try:
            told = getattr(self, f"_{verb}")(chosen, options)
        except BotError as exc:
            raise CommandError(str(exc)) from exc
        except KeyboardInterrupt as exc:
            raise CommandError("Called off.", returncode=130) from exc
        if options["json"]:
            self.stdout.write(json.dumps(told, indent=2, default=str))
            return
        self._show_all(chosen) if verb == "list" else self._print(verb, told)
        if verb == "try" and not told["text"]:
            raise CommandError("Nothing would be posted.")

    def _chosen(self, slugs: list[str] | None) -> list[Persona]:
        everybody = {one.slug: one for one in read.personas()}
        strange = [slug for slug in slugs or () if slug not in everybody]
        if strange:
            raise CommandError(f"There is no entity {', '.join(strange)}. Known: {', '.join(everybody) or 'none'}.")
        return [everybody[slug] for slug in slugs] if slugs else list(everybody.values())

    # --- verbs: each returns what --json prints ------------------------------------------------------------------
    def _list(self, chosen: list[Persona], options: Mapping[str, Any]) -> list[dict[str, Any]]:
        quotas = read.quotas([one.id for one in chosen], clock.now())
        return [_brief(one, quotas[one.id]) for one in chosen]

    def _show(self, chosen: list[Persona], options: Mapping[str, Any]) -> dict[str, Any]:
        [one] = chosen
        quota = read.limits(one.id, clock.now())
        limits = [{"rule": str(left.rule), "left": left.remaining, "free_at": left.free_at} for left in quota.left]
        return {**asdict(one), "limits": limits, "why_limited": quota.why}

    def _enable(self, chosen: list[Persona], options: Mapping[str, Any]) -> dict[str, int]:
        return {"changed": switch.enable([one.id for one in chosen], options["by"])}

    def _disable(self, chosen: list[Persona], options: Mapping[str, Any]) -> dict[str, int]:
        why = options["why"] or f"switched off by {options['by']}"
        return {"changed": switch.disable([one.id for one in chosen], why, options["by"])}

    def _clone(self, chosen: list[Persona], options: Mapping[str, Any]) -> dict[str, Any]:
        [one] = chosen
        pk = clone.clone(one.id, options["copy"], options["username"] or one.username, options["by"])
        return {"id": pk, "slug": options["copy"], "original": one.slug}

    def _try(self, chosen: list[Persona], options: Mapping[str, Any]) -> dict[str, Any]:
        [one] = chosen
        pk = rehearse(one.slug, options["by"], clock.now(), said=" ".join(options["said"]), message=options["message"])
        trial = self._wait(one.slug, pk, options["timeout"])
        story = trial.story
        told = {"generation": pk, "state": story.state, "text": trial.text, "why": trial.why, "steps": list(trial.steps)}
        return told | {"model": story.model, "server": story.server, "written": story.text}

    def _wait(self, slug: str, pk: int, seconds: float) -> Trial:
        """Wait until it is over; who gives up, by time or Ctrl-C, calls it off."""
        end = clock.now() + timedelta(seconds=seconds)
        trial = outcome(slug, pk)
        try:
            while not trial.over and clock.now() < end:
                time.sleep(LOOK_S)
                trial = outcome(slug, pk)
        finally:
            if not trial.over:
                queue.cancel(pk, clock.now(), "nobody waited for the trial any longer")
        if not trial.over:
            raise CommandError(f"No answer within {seconds:g} s; request {pk} is called off. It waited for: {_waits(trial)}.")
        return trial

    # --- for people ----------------------------------------------------------------------------------------------
    def _print(self, verb: str, told: Mapping[str, Any]) -> None:
        console = terminal.console(self.stdout)
        if verb == "show":
            _one(console, told)
        elif verb == "clone":
            console.print(escape(f"{told['slug']} is a copy of {told['original']}. It is off: switch it on when it is ready."))
        elif verb == "try":
            where = f"{told['model']} on {told['server']}" if told["server"] else told["model"]
            said = told["text"] or f"Nothing would be posted: {told['why']}"
            console.print(Panel(escape(said), title=escape(f"{where}, request {told['generation']}"), title_align="left"))
        else:
            console.print(f"{told['changed']} switched {'on' if verb == 'enable' else 'off'}.")

    def _show_all(self, chosen: list[Persona]) -> None:
        console = terminal.console(self.stdout)
        console.print(_table(chosen, clock.now()) if chosen else "No entity yet: add one in the admin, or import a configuration.")


def _waits(trial: Trial) -> str:
    return str(trial.story.decision.get("waits") or "an engine (is one running?)")


def _brief(one: Persona, quota: Quota) -> dict[str, Any]:
    """A row of the list, for machines."""
    told = {"slug": one.slug, "username": one.username, "model": one.model, "enabled": one.enabled, "disabled_reason": one.disabled_reason}
    left = min((each.remaining for each in quota.left), default=None)
    return told | {"allowed": quota.allowed, "left": left, "free_at": quota.free_at, "chance": one.response_chance}


def _table(chosen: list[Persona], now: datetime) -> Table:
    quotas = read.quotas([one.id for one in chosen], now)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("id", "name", "state", "model", "left", "next free"):
        table.add_column(name, overflow="fold", no_wrap=name == "state")
    for one in chosen:
        quota = quotas[one.id]
        state = "[green]on[/]" if one.enabled and not one.hold else "[yellow]held[/]" if one.enabled else "[red]off[/]"
        free = "now" if quota.allowed or quota.free_at is None else ago(quota.free_at, now)
        table.add_row(escape(one.slug), escape(one.username), state, escape(one.model or "(default)"), escape(quota.least), free)
    return table


def _one(console: Console, told: Mapping[str, Any]) -> None:
    now = clock.now()
    state = "on" if told["enabled"] else f"off: {told['disabled_reason'] or 'nobody said why'}"
    console.print(f"[bold]{escape(told['username'])}[/] ({escape(told['slug'])}): {escape(state)}")
    facts = {"model": told["model"] or "(default)", "server": told["preferred_server"] or "any", "chance": f"{told['response_chance']:g}"}
    facts |= {"priority": told["priority"], "prompt": short(told["system_prompt"], 300), "triggers": ", ".join(told["triggers"]) or "–"}
    for name, value in facts.items():
        console.print(f"  [bright_black]{name}[/] {escape(str(value))}")
    for limit in told["limits"]:
        free = f", free {ago(limit['free_at'], now)}" if limit["free_at"] else ""
        console.print(f"  [bright_black]limit[/] {escape(limit['rule'])}: {limit['left']} left{free}")
