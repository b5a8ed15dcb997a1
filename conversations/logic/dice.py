"""Dice that fall the same way again: seeded by the message and the entity, so that every decision can be replayed."""

import hashlib


def throw(*seed: str) -> float:
    """A number in [0, 1) that depends on `seed` only."""
    digest = hashlib.sha256("\x1f".join(seed).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
