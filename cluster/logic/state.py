"""The cluster as the planner sees it: frozen values, read from rows at one moment.

Sizes are GB (2³⁰ bytes) of memory, times seconds, moments aware datetimes, ids primary keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cluster.logic.lifecycle import PlacementState


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """One server. `well` is: enabled, not draining, online, its breaker closed; `why_not` says what is missing."""

    id: int
    name: str
    budget_gb: float
    well: bool
    usable: bool
    """Enabled and not draining: it may get work once it is well."""
    draining: bool = False
    """Enabled, and gets nothing new for a while."""
    why_not: str = ""
    max_models: int | None = None
    formats: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """One model and what it needs in memory."""

    id: int
    key: str
    need_gb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferView:
    """That a server has a model on its disk, and what was learned of the pair."""

    server_id: int
    model_id: int
    format: str = ""
    load_seconds: float | None = None
    answer_seconds: float | None = None
    cooldown_until: datetime | None = None
    cooldown_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementView:
    """One instance in memory, or on its way. `in_flight` is the count of its live seats."""

    id: int
    server_id: int
    model_id: int
    state: PlacementState
    gb: float
    slots: int
    in_flight: int = 0
    pinned: bool = False
    since: datetime
    """When its load was decided, later when it was loaded."""
    used_at: datetime | None = None

    @property
    def free(self) -> int:
        """Seats that may be given now."""
        return max(0, self.slots - self.in_flight) if self.state is PlacementState.LOADED else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """How many generations wait for a model, on any server or on the one of `pin`. 0 is the first priority.

    `avoid` is the server where they failed last: a warm one elsewhere first.
    """

    model_id: int
    pin_id: int | None = None
    avoid_id: int | None = None
    waiting: int
    priority: int
    oldest: datetime
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPolicy:
    """The part of the cluster policy that plans depend on."""

    strategy: str = "expected-time"
    min_residency_s: float = 20.0
    unload_delay_s: float = 300.0
    keep_models_loaded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """Everything a plan is made from."""

    servers: Sequence[ServerView]
    models: Mapping[int, ModelView]
    placements: Sequence[PlacementView]
    offers: Sequence[OfferView]
