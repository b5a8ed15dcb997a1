"""How many requests this process has sent to message backends, by their base, until somebody takes the counts to keep them.

Each costs its owner money (a list of one backend was asked for 182 million times in a month), so they are counted where they are sent.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

_sent: Final[Counter[str]] = Counter()


def sent(base: str) -> None:
    """One request has gone to this base."""
    _sent[base] += 1


def taken() -> dict[str, int]:
    """The counts so far; from now on they begin anew."""
    counts = dict(_sent)
    _sent.clear()
    return counts


def returned(counts: Mapping[str, int]) -> None:
    """Counts that were taken and could not be kept."""
    _sent.update(counts)
