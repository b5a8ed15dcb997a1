"""What an outcome says of a server: up or down, and when to ask again.

::

    nothing reached, or `failures` in a row   → offline until `retry_at`; then one probe decides (half-open)
    429, or 503 with a time                   → rate-limited for that time
    401, 403                                  → misconfigured, asked again rarely
    any well-formed answer                    → online, failures forgotten

A failure that is an instance's own counts against that instance (see `breaker`), and once against its server when it makes it rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cluster.logic.breaker import rest_s
from cluster.logic.lifecycle import ServerState

MISCONFIGURED_S: Final = 60.0

LONGEST_S: Final = 3600.0
"""The longest silence that a server is granted, whatever it asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The new state of a server. `retry_at` is set when it is out."""

    state: ServerState
    failures: int
    retry_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What went wrong, as far as health cares.

    `harms` counts against the server; `fatal` is "nothing listens there"; `own` is an answer's failure that only shows something of
    the instance that was asked (5xx, hung, cut); `cut` that the connection was lost: it is worth a look whether anybody is there.
    `limited` is "too many requests", `pause_s` for how long, None if it named no time.
    """

    text: str
    harms: bool
    fatal: bool = False
    misconfigured: bool = False
    own: bool = False
    cut: bool = False
    limited: bool = False
    pause_s: float | None = None

    @property
    def telling(self) -> bool:
        """Whether it says anything of the server."""
        return self.harms or self.misconfigured or self.limited


def after(
    fault: Fault | None, state: ServerState, failures: int, *, limit: int, pause_s: float, now: datetime, dice: Callable[[], float]
) -> Health:
    """The health after an outcome (`None` is success). `limit` failures in a row take a server out; `dice` gives 0 … 1 for jitter."""
    if fault is None:
        return Health(state=ServerState.ONLINE, failures=0)
    if fault.misconfigured:
        again = now + timedelta(seconds=rest_s(0, first_s=MISCONFIGURED_S, dice=dice))
        return Health(state=ServerState.MISCONFIGURED, failures=failures + 1, retry_at=again, reason=fault.text)
    if fault.limited:
        silence = rest_s(0, first_s=pause_s, dice=dice) if fault.pause_s is None else min(fault.pause_s, LONGEST_S)
        return Health(state=ServerState.RATE_LIMITED, failures=failures, retry_at=now + timedelta(seconds=silence), reason=fault.text)
    if not fault.harms:
        return Health(state=state, failures=failures)
    count = failures + 1
    out = fault.fatal or count >= limit or state is not ServerState.ONLINE
    if not out:
        return Health(state=state, failures=count)
    seconds = rest_s(count - 1 if fault.fatal else count - limit, first_s=pause_s, dice=dice)
    return Health(state=ServerState.OFFLINE, failures=count, retry_at=now + timedelta(seconds=seconds), reason=fault.text)
