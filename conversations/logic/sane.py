"""What plugins left of a request in the making: every part still what it has to be, or the reason why it cannot be sent.

Texts lose what cannot be stored or sent (NUL, halves of characters), wherever they come from. The rest is not mended: it is a mistake in
the plugin.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from conversations.logic.context import Spoken
from conversations.logic.fence import sound
from conversations.logic.prompt import Draft
from swwbot_site.lib.errors import BotError, Fault


class Unsound(BotError):
    """A plugin left something in a request that cannot be sent."""

    code = "plugin-failed"
    fault = Fault.OPERATOR


def sane(it: Draft) -> None:
    """Hold a draft to its types. Raises Unsound, which names the part."""
    for name in ("username", "model", "system", "instruction"):
        _is(isinstance(getattr(it, name), str), name, "a text")
        setattr(it, name, sound(getattr(it, name)))
    for name in ("lines", "warmup", "stop", "messages", "dropped"):
        _is(isinstance(getattr(it, name), list), name, "a list")
    _is(bool(it.lines) and all(_spoken(line) for line in it.lines), "lines", "a list of Spoken with at least the line to be answered")
    _is(all(_turn(turn) for turn in (*it.warmup, *it.messages)), "messages or warmup", "a list of turns, each with role and content")
    _is(all(isinstance(text, str) for text in (*it.stop, *it.dropped)), "stop or dropped", "a list of texts")
    given: tuple[Any, Any] = (it.sampling, it.max_tokens)
    sampling, most = given
    _is(isinstance(sampling, dict) and all(isinstance(n, str) and _number(v) for n, v in sampling.items()), "sampling", "numbers by name")
    _is(most is None or (_number(most) and isinstance(most, int) and most >= 1), "max_tokens", "a whole number above 0")
    it.lines = [replace(one, name=sound(one.name), text=sound(one.text), line=sound(one.line)) for one in it.lines]
    it.messages = [{"role": one["role"], "content": sound(one["content"])} for one in it.messages]
    it.dropped = [sound(text) for text in it.dropped]


def _is(right: bool, name: str, what: str) -> None:
    if not right:
        raise Unsound(f"A plugin's before_prompt left something in {name} that is not {what}. Mend it, or take it out of PLUGINS.")


def _spoken(line: Any) -> bool:
    return isinstance(line, Spoken) and all(isinstance(part, str) for part in (line.name, line.text, line.line))


def _turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and turn.get("role") in ("system", "user", "assistant") and isinstance(turn.get("content"), str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
