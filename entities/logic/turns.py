"""Warm-up turns: what stands before a conversation."""

from typing import Any, Final

ROLES: Final = ("system", "user", "assistant")
TURNS: Final = 'a list of turns such as {"role": "user", "content": "Hello"}, with the role system, user or assistant'


def sound(turn: Any) -> bool:
    """Whether a JSON value is a turn."""
    return isinstance(turn, dict) and turn.get("role") in ROLES and isinstance(turn.get("content"), str) and bool(turn["content"].strip())
