"""What an outcome says of a server: up or down, and when to ask again.

::

    nothing reached, or `failures` in a row   → offline until `retry_at`; then one probe decides (half-open)
    429 with a time                           → offline for that time
    401, 403                                  → misconfigured, asked again rarely
    any well-formed answer                    → online, failures forgotten
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cluster.logic.lifecycle import ServerState

STEPS: Final = (1, 2, 4, 8, 12)
"""The pauses between probes of a server that stays away, as multiples of the first one."""

CEILING_S: Final = 60.0
MISCONFIGURED_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The new state of a server. `retry_at` is set when it is out."""

    state: ServerState
    failures: int
    retry_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What went wrong, as far as health cares: `fatal` is "nothing listens there"; `pause_s` is how long
    the server asked to be left alone."""

    text: str
    harms: bool
    fatal: bool = False
    misconfigured: bool = False
    pause_s: float | None = None


def after(
    fault: Fault | None, state: ServerState, failures: int, *, limit: int, pause_s: float, now: datetime, dice: Callable[[], float]
) -> Health:
    """The health after an outcome (`None` is success). `limit` failures in a row take a server out; `dice` gives 0 … 1 for jitter."""
    if fault is None:
        return Health(state=ServerState.ONLINE, failures=0)
    if fault.misconfigured:
        return Health(
            state=ServerState.MISCONFIGURED, failures=failures + 1, retry_at=now + timedelta(seconds=MISCONFIGURED_S), reason=fault.text
        )
    if fault.pause_s is not None:
        return Health(state=ServerState.OFFLINE, failures=failures, retry_at=now + timedelta(seconds=fault.pause_s), reason=fault.text)
    if not fault.harms:
        return Health(state=state, failures=failures)
    count = failures + 1
    out = fault.fatal or count >= limit or state is not ServerState.ONLINE
    if not out:
        return Health(state=state, failures=count)
    beyond = max(0, count - limit) if not fault.fatal else count - 1
    step = STEPS[min(beyond, len(STEPS) - 1)]
    seconds = min(pause_s * step, CEILING_S) * (0.8 + 0.4 * dice())
    return Health(state=ServerState.OFFLINE, failures=count, retry_at=now + timedelta(seconds=seconds), reason=fault.text)
