"""How long a load may take, how far it is, and what a failed one teaches. Seconds, GB of memory, tokens of context."""

from dataclasses import dataclass
from typing import Final

from cluster.logic.memory import believed
from cluster.logic.state import USUAL_GB_PER_S

SLACK: Final = 3.0
"""A load may take so many times what is expected."""

LEAST_CONTEXT: Final = 4096
"""No load is tried with less."""

SOON_S: Final = 5.0
"""The rest of a pair for which the next load will be another one: with more room, or with a smaller context."""

RESTS: Final[dict[str, tuple[float, float]]] = {
    "out-of-memory": (120.0, 3600.0),
    "engine-failed": (300.0, 3600.0),
    "format-unsupported": (86_400.0, 86_400.0),
    "model-missing": (600.0, 3600.0),
    "load-canceled": (5.0, 300.0),
}
"""How long a pair of server and model is left alone after a load failed so: the first time, and at most."""

OTHER: Final = (30.0, 300.0)
TIGHT: Final = frozenset({"out-of-memory", "engine-failed"})
"""What a smaller context may cure; an engine that dies while it loads mostly lacks memory of the graphics processor."""

CRASHES: Final = frozenset({"engine-failed", "engine-lost", "model-crashed"})
"""The engine died: on that server the model answers one request at a time for a while."""

CHOOSERS: Final = frozenset({"lmstudio-v1", "design", "ollama"})
"""Dialects in which a load may say how much context it wants."""


def expected_s(gb: float, learned_s: float | None) -> float:
    """How long the load of `gb` will take: as long as before, or as long as such a size usually takes."""
    return learned_s if learned_s is not None else gb / USUAL_GB_PER_S


def limit_s(gb: float, learned_s: float | None, least_s: float) -> float:
    """How long a load is waited for; it grows with the size, and is never less than `least_s`."""
    return max(least_s, SLACK * expected_s(gb, learned_s))


def progress(elapsed_s: float, expected_s: float) -> float:
    """How much of a load is done, 0 … 0.99, judged by the time: no server tells."""
    return min(0.99, max(0.0, elapsed_s) / expected_s) if expected_s > 0 else 0.99


def allowed(context: int | None, limit: int | None) -> int | None:
    """The context to load with where not more than `limit` fits; None is the server's own default."""
    return min((c for c in (context, limit) if c is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """A load that failed. `said_gb`: what the server said it needs; `failures`: in a row of this pair, this one included."""

    code: str
    failures: int = 1
    said_gb: float | None = None
    reserved_gb: float
    """What was reserved for it."""
    estimate_gb: float
    """What the formula gives for the file that was loaded."""
    room_gb: float
    """What the server can give when it is empty."""
    size_bytes: int | None = None
    context: int | None = None
    """What was asked for; None: the server's default."""
    limited: bool = False
    """It was asked for with less than usual already."""
    choosable: bool = True
    """The server lets a load choose its context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """How long the pair rests; the model's need as it is now known, and the most context to load it with there, None: as before."""

    rest_s: float
    size_gb: float | None = None
    context_limit: int | None = None


def lesson(it: Mishap) -> Lesson:
    """What to do differently the next time.

    1. the server named a figure above what was reserved, that can be true, and it can hold that: make that much room, soon
    2. it lacked memory, and a smaller context was not tried: try one, soon; once
    3. otherwise rest, longer each time; a figure that is too much for the server is learned, so that others are chosen

    A figure below what was reserved teaches nothing: so much was there, and it was not enough.
    """
    size = None
    if it.said_gb is not None and it.said_gb > it.reserved_gb * 1.05:
        size = it.said_gb if believed(it.said_gb, estimate_gb=it.estimate_gb, size_bytes=it.size_bytes) else None
    if size is not None and size <= it.room_gb:
        return Lesson(rest_s=SOON_S, size_gb=size)
    if it.code in TIGHT and it.choosable and not it.limited and (it.context is None or it.context > LEAST_CONTEXT):
        less = LEAST_CONTEXT if it.context is None else max(LEAST_CONTEXT, it.context // 2)
        if size is None or it.context is not None:  # of an unknown context nobody knows what less of it would spare
            return Lesson(rest_s=SOON_S, context_limit=less)
    first, most = RESTS.get(it.code, OTHER)
    return Lesson(rest_s=min(most, first * 2.0 ** min(max(it.failures, 1) - 1, 20)), size_gb=size)
