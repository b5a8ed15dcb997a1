"""What one message may change of how it is answered: `botParams`, checked, because anybody can write them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from conversations.feed.identity import ais, color, drawn
from conversations.logic.fence import said
from conversations.logic.message import Line
from entities.logic.persona import Persona

ALL: Final = 1000
"""No prompt has more lines."""

LONGEST_MODEL: Final = 300
LONGEST_COLOR: Final = 40
LONGEST_AIS: Final = 200
SHOWN: Final = 60
"""So much of a wrong value is repeated in the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """How a message is answered: the message's wish, otherwise the persona's setting."""

    username: str
    color: str
    model: str
    """As it was asked for; whether there is such a model, only the cluster knows."""
    priority: int
    nom: int | None = None
    """Lines to read at most; None: as the persona is set."""


def overrides(message: Line, persona: Persona, dice: Callable[[str], float]) -> Overrides:
    """What holds for this answer. `dice(part)` gives 0 … 1, for a random colour.

    Raises ValueError, as a sentence, for an identity or a model that is none; senseless numbers count as absent.
    """
    params = message.params or {}
    username, shade = _identity(params.get("ais"), persona, dice)
    return Overrides(
        username=username,
        color=shade,
        model=_model(params.get("model")) or persona.model,
        priority=priority(params, persona.priority),
        nom=nom(params),
    )


def nom(params: Mapping[str, Any]) -> int | None:
    """How many lines are to be read, at most ALL; None for 0, a negative number, and what is none."""
    wish = params.get("nom")
    if wish == "ALL":
        return ALL
    number = _whole(wish)
    return min(number, ALL) if number is not None and number > 0 else None


def priority(params: Mapping[str, Any], usual: int) -> int:
    """0 … 99, 0 first: the message's wish, brought into these bounds, otherwise `usual`."""
    number = _whole(params.get("priority"))
    return max(0, min(99, usual if number is None else number))


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def _identity(wish: object, persona: Persona, dice: Callable[[str], float]) -> tuple[str, str]:
    if wish is None or wish == "":
        return persona.username, color(persona.color)
    if not isinstance(wish, str) or len(wish) > LONGEST_AIS:
        raise ValueError(f"ais is {_short(wish)}; it must be a text, username:colour or username:random")
    identity = ais(wish)
    if said(identity.username) != identity.username or not set(identity.username).isdisjoint(":\t\uff1a"):
        raise ValueError(f"ais asks for the name {_short(identity.username)}, which has a colon, a mark or an invisible character in it")
    if identity.color is None:
        return identity.username, drawn(lambda: dice("color"))
    if len(identity.color) > LONGEST_COLOR or not identity.color.isprintable():
        raise ValueError(f"ais asks for the colour {_short(identity.color)}; no backend knows one of more than {LONGEST_COLOR} characters")
    return identity.username, identity.color


def _model(wish: object) -> str:
    if wish is None or wish == "":
        return ""
    if not isinstance(wish, str) or len(wish) > LONGEST_MODEL or not wish.strip() or not wish.isprintable():
        raise ValueError(f"model is {_short(wish)}; it must be the name of a model, a text of at most {LONGEST_MODEL} characters")
    return wish.strip()


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
