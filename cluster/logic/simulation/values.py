"""What is simulated: a cluster as its owner could describe it, and the requests that came to it.

Sizes are GB of memory that models may take (no headroom is taken off), moments and lengths seconds, speeds GB or tokens a second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from swwbot_site.lib.errors import BotError, Fault


class TraceError(BotError):
    """A trace, or a change asked of it, says something impossible; the text names the place and what to do."""

    code = "trace"
    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One server: it loads one model at a time; `slots` answers of each model run at once, each at the full speed."""

    name: str
    memory_gb: float
    load_gbps: float
    tok_per_s: float
    slots: int
    region: str = ""
    speeds: Mapping[str, float] = field(default_factory=dict)
    """Tokens a second of single models, where they are not `tok_per_s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The servers and the models, with what a changed fleet is compared by: where single models may run."""

    servers: tuple[Machine, ...]
    models: Mapping[str, float]
    """GB of each."""
    patience_s: float
    """A request that has not begun after so long is rejected."""
    warm_s: float = 0.0
    """Requests that arrive earlier are simulated and not counted: the cluster begins empty."""
    region: str = ""
    """The region that comes first; empty: all are equal."""
    homes: Mapping[str, str] = field(default_factory=dict)
    """Models that may run on one server only, by its name."""
    template: Machine
    """What a server is that nobody describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: when it came, for which model (its number in `Fleet.models`), whose it is, how long the answer."""

    t: float
    model: int
    tokens: float
    entity: str = ""
    priority: int = 50
    pin: str = ""
    """The only server that may answer it; empty: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A fleet and its requests in the order of their arrival."""

    fleet: Fleet
    requests: Sequence[Request]
