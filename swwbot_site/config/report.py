"""An import told in a terminal: tables of changes and problems."""

from collections.abc import Iterable
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swwbot_site.config.apply import Diff, told
from swwbot_site.config.document import Problem, Severity
from swwbot_site.lib.changes import Action

COLOURS = {Action.ADDED: "green", Action.CHANGED: "yellow", Action.DISABLED: "red"}


def changes(diff: Diff, *, width: int, colour: bool) -> str:
    """A table of what was added, changed and disabled; of a new row only its name. Empty if nothing was."""
    if not diff.changes:
        return ""
    table = Table("", "row", "what", header_style="bold", box=None, pad_edge=False)
    for change in diff.changes:
        fields = {} if change.action is Action.ADDED else told(change, 60)
        what = "\n".join(f"{column}: {before or '–'} → {after or '–'}" for column, (before, after) in fields.items())
        table.add_row(Text(change.action, style=COLOURS[change.action]), Text(f"{change.kind} {change.name}"), Text(what))
    return _drawn(table, width, colour)


def problems(found: Iterable[Problem], *, width: int, colour: bool) -> str:
    """A table of errors and warnings, errors first; the same finding at several paths is one line with all of them."""
    grouped: dict[tuple[bool, str], list[str]] = {}
    for problem in found:
        grouped.setdefault((problem.severity is not Severity.ERROR, problem.text), []).append(problem.path)
    if not grouped:
        return ""
    table = Table("", "where", "what", header_style="bold", box=None, pad_edge=False)
    for (warning, text), paths in sorted(grouped.items(), key=lambda item: item[0][0]):
        label = Text("warning", style="yellow") if warning else Text("error", style="bold red")
        table.add_row(label, Text("\n".join(paths)), Text(text))
    return _drawn(table, width, colour)


def _drawn(table: Table, width: int, colour: bool) -> str:
    paper = StringIO()
    Console(file=paper, width=width, force_terminal=colour, no_color=not colour, highlight=False).print(table)
    return paper.getvalue()
