"""From the verdict to those who really answer: each yes is asked, and in the place of one who cannot the next of the bench."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from conversations.logic.lifecycle import Mode
from conversations.logic.verdict import Verdict, Yes

LIMITED: Final = "its limits"
MISDIRECTED: Final = "the message asks for what there is not"
ANSWERED: Final = "answers it already"
"""The kinds of reasons for which a yes comes to nothing."""

Ask = Callable[[Yes], tuple[str, str]]
"""Lets an entity answer; why it cannot and the kind of that reason, or two empty texts."""


def settle(verdict: Verdict, told: dict[str, Any], ask: Ask) -> None:
    """Ask everybody of the verdict in turn, and correct its document `told` by what comes of it."""
    bench: Iterator[Yes] = iter(verdict.bench)
    answering: list[str] = []
    noes: dict[str, int] = told["noes"]
    for first in verdict.yes:
        yes: Yes | None = first
        while yes is not None:
            why, kind = ask(yes)
            if not why:
                answering.append(yes.persona.slug)
                break
            told["no"][yes.persona.slug] = why[:200]
            noes[kind] = noes.get(kind, 0) + 1
            yes = next(bench, None) if yes.mode is Mode.AMBIENT else None
            if yes is not None:
                noes[verdict.surplus] -= 1
                told["no"].pop(yes.persona.slug, None)
    told["yes"] = answering[: len(told["yes"])]
