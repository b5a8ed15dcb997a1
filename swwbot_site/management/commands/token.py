"""`manage.py token make NAME`: the right of a program to speak to the API. See docs/api.md."""

import getpass
import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from rich.table import Table
from rich.text import Text

from swwbot_site import tokens
from swwbot_site.lib import terminal
from swwbot_site.lib.errors import BotError
from swwbot_site.models import Token


class Command(BaseCommand):
    """A secret is shown when it is made, and never again."""

    help = "Make, list and revoke tokens of the REST API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        make = verbs.add_parser("make", help="make one, and show its secret this once")
        make.add_argument("name", help="which program it is for")
        make.add_argument("--user", required=True, help="the login on whose behalf it acts")
        make.add_argument("--scope", action="append", required=True, choices=Token.Scope.values, help="may be given several times")
        make.add_argument("--days", type=float, help="how long it is good (default: for ever)")
        make.add_argument("--priority", type=int, default=50, help="of its requests to models; 0 is first (default 50)")
        make.add_argument("--model", action="append", default=[], help="a model it may ask; may be given several times (default: all)")
        make.add_argument("--per-minute", type=int, default=600, help="requests it may make in a minute (default 600)")
        make.add_argument("--at-once", type=int, default=0, help="answers of models it may wait for at the same time (default: any number)")
        listed = verbs.add_parser("list", help="show all, without their secrets")
        revoke = verbs.add_parser("revoke", help="take one back")
        revoke.add_argument("name", help="its name")
        for one in (make, listed):
            one.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        {"make": self._make, "list": self._list, "revoke": self._revoke}[options["verb"]](options)

    def _make(self, options: dict[str, Any]) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}. Make one with manage.py createsuperuser, or in the admin.")
        try:
            row, secret = tokens.make(
                options["name"],
                user,
                options["scope"],
                who=_caller(),
                lasts=timedelta(days=options["days"]) if options["days"] is not None else None,
                priority=options["priority"],
                models=options["model"],
                per_minute=options["per_minute"],
                at_once=options["at_once"],
            )
        except (BotError, OverflowError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps({"name": row.name, "secret": secret, "scopes": row.scopes}))
            return
        self.stdout.write(f"{secret}\nThis is the secret of {row.name}, shown this once. Send it as: Authorization: Bearer SECRET")

    def _list(self, options: dict[str, Any]) -> None:
        rows = list(Token.objects.select_related("user"))
        if options["json"]:
            told = [
                {name: getattr(row, name) for name in ("name", "prefix", "scopes", "expires_at", "revoked_at", "used_at")} for row in rows
            ]
            self.stdout.write(json.dumps(told, default=str))
            return
        table = Table("name", "begins", "acts for", "scopes", "last used", "state", box=None, header_style="bold", pad_edge=False)
        for row in rows:
            used = f"{row.used_at:%Y-%m-%d %H:%M}" if row.used_at else "never"
            cells = (row.name, f"{tokens.MARK}{row.prefix}", row.user.get_username(), " ".join(row.scopes), used, tokens.state(row))
            table.add_row(*(Text(cell) for cell in cells))
        terminal.console(self.stdout).print(table)

    def _revoke(self, options: dict[str, Any]) -> None:
        row = Token.objects.filter(name=options["name"]).first()
        if row is None:
            raise CommandError(f"There is no token {options['name']!r}; manage.py token list shows them.")
        done = tokens.revoke([row.pk], _caller())
        self.stdout.write(f"{row.name} is revoked." if done else f"{row.name} was revoked already.")


def _caller() -> str:
    """Who types."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number that the machine has no name for
        return "the command line"
