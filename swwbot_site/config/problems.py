"""What is wrong with a configuration file, each with the JSON path where it stands.

::

    BotError
    └── DocumentError    nothing of the file can be used; `problems` says why, errors and warnings
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from swwbot_site.lib.errors import BotError, Fault, Retry

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Severity(StrEnum):
    """An error keeps the whole file out; a warning says what was assumed or has no effect."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding. `path` is a JSON path such as `$.entities[3].rateLimits.maxPostsPerHour`; `text` goes on after it."""

    path: str
    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.path} {self.text}"


class DocumentError(BotError):
    """The file cannot be imported: it is no JSON, or a value is of the wrong type or impossible."""

    code: ClassVar[str] = "config-invalid"
    retry: ClassVar[Retry] = Retry.NEVER
    fault: ClassVar[Fault] = Fault.OPERATOR

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        wrong = [problem for problem in self.problems if problem.severity is Severity.ERROR]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        super().__init__(f"{wrong[0]}{more}" if wrong else "the configuration cannot be used")


class Findings:
    """Collects the problems of one document, in the order of the file."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, path: str, text: str) -> None:
        self.problems.append(Problem(path=path, severity=Severity.ERROR, text=text))

    def warn(self, path: str, text: str) -> None:
        self.problems.append(Problem(path=path, severity=Severity.WARNING, text=text))

    def settle(self) -> tuple[Problem, ...]:
        """All warnings. Raises DocumentError, with warnings and errors, if there is an error."""
        if any(problem.severity is Severity.ERROR for problem in self.problems):
            raise DocumentError(self.problems)
        return tuple(self.problems)


def failure(path: str, text: str) -> DocumentError:
    """A DocumentError of one problem."""
    return DocumentError([Problem(path=path, severity=Severity.ERROR, text=text)])


def step(path: str, key: str | int) -> str:
    """The path of a member: `$.a[0]["b c"]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN.fullmatch(key):
        return f"{path}.{key}"
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'{path}["{quoted}"]'


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, for sentences."""
    return ", ".join(names)
