"""A second try of an answer of which nothing was left: the same question, so asked that it is not answered the same way."""

from collections.abc import Mapping
from typing import Any, Final

from cluster.logic.request import Request

USUAL: Final = 0.8
"""What servers take where a request names no temperature."""
WARMER: Final = 0.3
HOTTEST: Final = 1.3
"""Above that models lose the thread; who wants it hotter gets what he wants."""

MORE: Final = 2
"""Times the tokens, for an answer that ran out of them while it was still thinking."""


def again(asked: Mapping[str, Any], *, seed: int, unfinished: bool, room: int | None) -> Request:
    """The request once more: warmer, with a seed, and, if it was left `unfinished`, with more tokens.

    `asked` is the document of the first request, `room` the tokens that its context leaves for an answer, None if that is unknown.
    """
    given = asked.get("sampling") or {}
    temperature = given.get("temperature", USUAL)
    most = asked.get("max_tokens")
    if most and unfinished:
        most = max(most, min(MORE * most, MORE * most if room is None else room))
    return Request(
        messages=asked["messages"],
        sampling={**given, "temperature": max(temperature, min(round(temperature + WARMER, 2), HOTTEST)), "seed": seed},
        max_tokens=most,
        stop=tuple(asked.get("stop") or ()),
    )
