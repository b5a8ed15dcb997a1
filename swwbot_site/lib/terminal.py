"""Rich output of commands: as wide as the terminal, and 120 columns where there is none."""

from typing import IO, Any, Final, cast

from django.core.management.base import OutputWrapper
from rich.console import Console

WIDTH: Final = 120


def console(out: OutputWrapper | Any) -> Console:
    """A console that writes to a command's `stdout`."""
    return Console(file=cast("IO[str]", out), width=None if out.isatty() else WIDTH, highlight=False)
