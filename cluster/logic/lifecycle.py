"""The states of the cluster's rows and the moves between them, as data.

::

    Server       unknown → online ⇄ offline, rate-limited ; any → misconfigured → any
    Placement    loading → loaded → unloading → gone ; loading → failed ; loaded, unloading → gone
    Generation   queued → running → done, failed ; queued → done, failed, expired, cancelled ; running → queued, cancelled, expired
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class ServerState(StrEnum):
    UNKNOWN = "unknown"
    ONLINE = "online"
    OFFLINE = "offline"
    MISCONFIGURED = "misconfigured"
    RATE_LIMITED = "rate-limited"


class PlacementState(StrEnum):
    LOADING = "loading"
    LOADED = "loaded"
    UNLOADING = "unloading"
    GONE = "gone"
    FAILED = "failed"


class GenerationState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


_S, _P, _G = ServerState, PlacementState, GenerationState

SERVER: Final[Mapping[ServerState, frozenset[ServerState]]] = {
    state: frozenset(other for other in _S if other not in (state, _S.UNKNOWN)) for state in _S
}
PLACEMENT: Final[Mapping[PlacementState, frozenset[PlacementState]]] = {
    _P.LOADING: frozenset({_P.LOADED, _P.FAILED, _P.GONE}),
    _P.LOADED: frozenset({_P.UNLOADING, _P.GONE}),
    _P.UNLOADING: frozenset({_P.GONE, _P.LOADED}),
}
GENERATION: Final[Mapping[GenerationState, frozenset[GenerationState]]] = {
    _G.QUEUED: frozenset({_G.RUNNING, _G.DONE, _G.FAILED, _G.EXPIRED, _G.CANCELLED}),
    _G.RUNNING: frozenset({_G.QUEUED, _G.DONE, _G.FAILED, _G.EXPIRED, _G.CANCELLED}),
}

HELD: Final = (_P.LOADING, _P.LOADED, _P.UNLOADING)
"""Placements that hold memory on their server."""

ENDED: Final = (_G.DONE, _G.FAILED, _G.EXPIRED, _G.CANCELLED)
"""Generations that will not change any more."""
