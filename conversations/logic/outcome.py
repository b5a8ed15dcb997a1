"""What a replay decides about a message, beside what was decided then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from conversations.logic.cast import Cast
from conversations.logic.overrides import Overrides
from conversations.logic.recording import Given, Heard
from conversations.logic.scene import Scene
from conversations.logic.verdict import Verdict, Yes
from conversations.logic.weights import Weights
from conversations.logic.world import Said
from entities.logic.quota import Quota
from entities.logic.selection import Strategy

STUB: Final = "(an answer that is only replayed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What deciding needs from outside. `dice(remote id)` gives the dice of a message; `watch` sees each scene with its outcome."""

    dice: Callable[[str], Callable[[str], float]]
    weigh: Callable[[Scene, Cast], Weights]
    strategies: Mapping[str, Strategy]
    answer_s: float = 5.0
    watch: Callable[["Outcome", Scene, Verdict], None] = lambda outcome, scene, verdict: None


@dataclass(slots=True, kw_only=True)
class Taken:
    """An answer of the replay: what was decided, and what its limits made of it (`waited`: until when; `late`: why it came to nothing)."""

    yes: Yes
    wishes: Overrides
    said: Said
    quota: Quota
    waited: datetime | None = None
    late: str = ""
    text: str = STUB
    written: str | None = None
    """What a real model would say, if it was asked."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was decided about one message, now and then. `refused`: id → why its limits did not let it answer."""

    heard: Heard
    told: Mapping[str, Any]
    now: list[Taken] = field(default_factory=list)
    then: tuple[Given, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
