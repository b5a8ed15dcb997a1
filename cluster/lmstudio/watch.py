"""The time limits of one stream: first token, between tokens, whole answer (section 11)."""

from dataclasses import dataclass

from cluster.lmstudio.errors import FirstTokenTimeout, IdleTimeout, Slow, TotalTimeout
from cluster.lmstudio.values import Timeouts

TAIL_S = 2.0
"""Seconds that a finished answer is still waited for: for its usage."""
END_S = 0.25
"""Seconds from `[DONE]` to the end of the stream, for the sake of the connection."""


@dataclass(slots=True)
class Watch:
    """All moments in seconds of one monotonic clock."""

    limits: Timeouts
    begun: float
    first: float | None = None
    last: float = 0.0
    finished: float | None = None
    ends: float = 0.0

    def token(self, now: float) -> None:
        """A token was seen, or the reader is back to wait for the next one."""
        self.first = now if self.first is None else self.first
        self.last = now

    def finish(self, now: float, tail_s: float = TAIL_S) -> None:
        """The answer is complete; only its tail may follow."""
        self.ends = now + tail_s if self.finished is None else min(self.ends, now + tail_s)
        self.finished = now if self.finished is None else self.finished

    def deadline(self) -> float:
        """The moment until which the next piece must come."""
        if self.finished is not None:
            return self.ends
        step = self.begun + self.limits.first_token_s if self.first is None else self.last + self.limits.idle_s
        return min(step, self.begun + self.limits.total_s)

    def verdict(self, now: float) -> Slow:
        """Which limit has passed."""
        limits, started = self.limits, self.first is not None
        if now >= self.begun + limits.total_s:
            return TotalTimeout(f"the answer was not complete within {limits.total_s:g} s", started=started, limit_s=limits.total_s)
        if not started:
            return FirstTokenTimeout(f"no token within {limits.first_token_s:g} s", limit_s=limits.first_token_s)
        return IdleTimeout(f"no further token within {limits.idle_s:g} s", started=True, limit_s=limits.idle_s)

    def total_s(self, now: float) -> float:
        """Seconds from sending to the end of the answer, or to now."""
        return (now if self.finished is None else self.finished) - self.begun

    @property
    def first_token_s(self) -> float | None:
        """Seconds from sending to the first token."""
        return None if self.first is None else self.first - self.begun
