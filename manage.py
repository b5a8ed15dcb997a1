#!/usr/bin/env python
"""Runs the management commands; `manage.py help` lists them."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line

from swwbot_site import postgres, processes
from swwbot_site.lib.errors import BotError

WITHOUT_DATABASE = (
    "up",
    "emulate",
    "simulate",
    "doctor",
    "check",
    "help",
    "version",
    "collectstatic",
    "findstatic",
    "test",
    "diffsettings",
)


def main(words: list[str]) -> None:
    """Run one command. Where it needs the embedded database and nobody runs it, the command brings its own for its duration."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swwbot_site.settings")
    processes.follow_parent()
    try:
        var, embedded = settings.VAR_DIR, settings.EMBEDDED
    except ValueError as exc:
        sys.exit(f"A setting is wrong: {exc}")
    command = words[1] if len(words) > 1 else "help"
    if not embedded or command.startswith("-") or command in WITHOUT_DATABASE or {"-h", "--help"} & set(words):
        execute_from_command_line(words)
        return
    try:
        with postgres.borrowed(var):
            execute_from_command_line(words)
    except BotError as exc:
        sys.exit(f"The database is not there: {exc}")


if __name__ == "__main__":
    try:
        main(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our words wants no more, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
