"""Dice that fall the same way again: seeded by the message and the entity, so that every decision can be replayed."""

import hashlib
from collections.abc import Callable


def throw(*seed: str) -> float:
    """A number in [0, 1) that depends on `seed` only."""
    return _number("\x1f".join(seed).encode("utf-8", "surrogatepass"))


def thrower(*seed: str) -> Callable[[str], float]:
    """`throw(*seed, …)` for many last seeds, faster."""
    prefix = "".join(f"{part}\x1f" for part in seed).encode("utf-8", "surrogatepass")
    return lambda last: _number(prefix + last.encode("utf-8", "surrogatepass"))


def _number(data: bytes) -> float:
    return int.from_bytes(hashlib.sha256(data).digest()[:7], "big") / 2**56
