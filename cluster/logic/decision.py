"""What a plan says: seats, loads, unloads, waits, and what can never be, each with its reason.

What a plan may have hundreds of is a tuple: it is made in a third of the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Runner(NamedTuple):
    """A placement that came into question for a seat, as it stood before the seat was given; of several the lowest score won."""

    server: str
    expected_s: float
    in_flight: int
    score: tuple[float, ...]

    def document(self) -> dict[str, object]:
        """The JSON that is kept with the generation."""
        score = [round(x, 3) for x in self.score]
        return {"server": self.server, "expected_s": round(self.expected_s, 2), "in_flight": self.in_flight, "score": score}


class Seat(NamedTuple):
    """Give `n` waiting generations of a demand a seat on a placement. `candidates` are it and its runners-up, with their scores."""

    model_id: int
    pin_id: int | None
    placement_id: int
    server_id: int
    n: int
    why: str
    avoid_id: int | None = None
    candidates: tuple[Runner, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Load a model; first unload the placements of `evict`. `caller` is whose request it is for; empty for a guess (`preload`)."""

    model_id: int
    server_id: int
    gb: float
    evict: tuple[int, ...]
    why: str
    caller: str = ""
    preload: bool = False
    seconds: float = 0.0
    """How long the load should take."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """gain: requests served sooner; cost: requests served later; bar: what the gain had to exceed."""


class Unload(NamedTuple):
    """Let an idle placement go without need."""

    placement_id: int
    why: str


class Wait(NamedTuple):
    """Nothing to be done for a demand now; look again at `until` (seconds) if nothing happens before."""

    model_id: int
    pin_id: int | None
    until: float | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """No server could ever serve a demand; its generations fail with `why`."""

    model_id: int
    pin_id: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, in the order it was decided."""

    seats: tuple[Seat, ...] = ()
    loads: tuple[Load, ...] = ()
    unloads: tuple[Unload, ...] = ()
    waits: tuple[Wait, ...] = ()
    impossible: tuple[Impossible, ...] = ()
