"""`manage.py preview ENTITY`: the request that an entity would send for a message, without sending it."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from conversations.preview import Preview, preview
from swwbot_site.lib import terminal
from swwbot_site.lib.errors import BotError


class Command(BaseCommand):
    """Reads rows only."""

    help = "Shows the request that an entity would send for a message: the newest one, or that of a number. Nothing is sent or queued."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose request, for which message."""
        parser.add_argument("entity", metavar="ENTITY", help="the entity's id")
        parser.add_argument("--message", type=int, metavar="ID", help="our number of the message")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Put together, show."""
        try:
            found = preview(options["entity"], options["message"])
        except BotError as exc:
            raise CommandError(str(exc)) from exc
        if options["json"]:
            self.stdout.write(json.dumps(found.document(), indent=2, ensure_ascii=False))
        else:
            _show(terminal.console(self.stdout), found)


def _show(console: Console, found: Preview) -> None:
    console.print(f"[bold]{escape(found.entity)}[/] as {escape(found.username)}, for message {found.message}: {escape(found.said)}")
    on = f" on {found.server} alone" if found.server else ""
    console.print(f"  [bright_black]model[/] {escape(found.model or 'the default one')}{escape(on)}")
    if found.note:
        console.print(f"  [yellow]{escape(found.note)}[/]")
    console.print(f"  [bright_black]tokens[/] about {found.tokens} of {found.room}; {found.shown} lines of the conversation")
    for lost in found.dropped:
        console.print(f"  [yellow]left out[/] {escape(lost)}")
    for one in found.request["messages"]:
        console.print(Panel(escape(one["content"]), title=one["role"], title_align="left"))
    rest = {name: value for name, value in found.request.items() if name != "messages"}
    console.print("  " + escape(json.dumps(rest, ensure_ascii=False)))
