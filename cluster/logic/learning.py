"""What is learned from outcomes: means in which the recent counts more."""

from typing import Final

LEARN: Final = 0.2
"""How much the newest measurement counts against all before."""


def blend(old: float | None, new: float) -> float:
    """The mean in which what is recent counts more."""
    return new if old is None else old + LEARN * (new - old)
