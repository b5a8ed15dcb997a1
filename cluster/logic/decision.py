"""What a plan says: seats, loads, unloads, waits, and what can never be, each with its reason."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Give `n` waiting generations of a demand a seat on a placement."""

    model_id: int
    pin_id: int | None
    placement_id: int
    server_id: int
    n: int
    why: str
    avoid_id: int | None = None
    candidates: tuple[dict[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Load a model; first unload the placements of `evict`."""

    model_id: int
    server_id: int
    gb: float
    evict: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unload:
    """Let an idle placement go without need."""

    placement_id: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to be done for a demand now; look again at `until` if nothing happens before."""

    model_id: int
    pin_id: int | None
    until: datetime | None
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
