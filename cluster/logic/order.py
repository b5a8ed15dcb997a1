"""What the planner's lock hands to those who act outside it, and what they bring back."""

from dataclasses import dataclass
from datetime import datetime

from cluster.lmstudio.values import ChatOutcome, Endpoint, Timeouts
from cluster.logic.health import Fault
from cluster.logic.request import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A generation with a seat: everything that asking needs, so that no row is read while a request is in flight."""

    generation_id: int
    placement_id: int
    server_id: int
    server: str
    endpoint: Endpoint
    model: str
    instance_id: str
    names: tuple[str, ...]
    request: dict[str, object]
    context_length: int | None = None
    attempt: int = 1
    timeouts: Timeouts
    trial: bool = False
    """The one request that may try a placement that rested."""
    hedge: bool = False
    """The second seat of a request that is asked twice."""
    hedge_after_s: float = 0.0
    """When to ask a second copy, if no token has come; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A load or an unload to carry out: a placement, where, and under which name."""

    placement_id: int
    server_id: int
    server: str
    endpoint: Endpoint
    key: str
    instance_id: str
    context_length: int | None
    timeouts: Timeouts
    poll_s: float
    polls: int
    kind: str = "llm"
    """What the model is for: `llm`, `vlm` or `embedding`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What one turn of the serving loop has to do after the commit. `until` is when to look again if nothing happens."""

    tickets: tuple[Ticket, ...] = ()
    loads: tuple[Errand, ...] = ()
    unloads: tuple[Errand, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One attempt of one generation: an answer, or a failure with what it says of the server."""

    ticket: Ticket
    asked_at: datetime
    ended_at: datetime
    first_token_at: datetime | None = None
    answer: ChatOutcome | None = None
    failure: Failure | None = None
    fault: Fault | None = None
    gone: bool = False
    """The instance is not in memory any more."""
    beside: "Outcome | None" = None
    """Of a request that was asked twice: what the other seat failed with; it says something of that server only."""
