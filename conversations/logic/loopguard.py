"""How long bots may be among themselves.

A run is what bots have said in one conversation since a human last spoke there, ours and strangers' alike, by the order in which the
messages reached us: no clock, no length of a window has a say in it. Answers of ours that are still under way count as said. So
whoever answers a bot is heard at a place in the run that is not behind `cap`, and only a human begins another run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`bots`: messages of bots since the last human one. `underway`: answers of ours that are decided and cannot be read in the feed yet."""

    bots: int = 0
    underway: int = 0
    cap: int = 6
    decay: float = 1.0

    @property
    def depth(self) -> int:
        return self.bots + self.underway

    @property
    def left(self) -> int:
        """So many answers to bots fit into the run."""
        return max(0, self.cap - self.depth)

    @property
    def factor(self) -> float:
        """What the run makes of the chance of an answer to a bot: 0 … 1."""
        return float(self.decay ** min(self.depth, 1000))

    @property
    def why(self) -> str:
        """Why a bot is not answered any more."""
        more = f" and {self.underway} answers are under way" if self.underway else ""
        return f"bots have spoken {self.bots} times since the last human{more}; {self.cap} is the most"


def length(humans: Iterable[bool]) -> int:
    """How many at the beginning are no humans; the newest message comes first."""
    return sum(1 for _ in takewhile(lambda human: not human, humans))
