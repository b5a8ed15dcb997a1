"""How long a round waits for more to carry: under load fewer and larger transactions carry more."""

from typing import Final

GATHER_S: Final = 0.002
"""For each generation of the round before."""

GATHER_MOST_S: Final = 0.015


def gathering(many: int) -> float:
    """Seconds to gather more for the next transaction, after one for so many generations; one alone need not wait."""
    return min(GATHER_MOST_S, GATHER_S * (many - 1)) if many > 1 else 0.0
