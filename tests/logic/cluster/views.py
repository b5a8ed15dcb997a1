"""Values for the planner's tests: each maker gives a sound one and takes overrides."""

from typing import Any

from cluster.logic.balancing import Candidate
from cluster.logic.lifecycle import PlacementState
from cluster.logic.state import ClusterState, Demand, ModelView, OfferView, PlacementView, PlanPolicy, ServerView

NOW = 1_800_000_000.0
LONG_AGO = NOW - 3600
POLICY = PlanPolicy()


def ago(seconds: float) -> float:
    return NOW - seconds


def server(ident: int = 1, **over: Any) -> ServerView:
    """A server that is well, with 80 GB to give."""
    values: dict[str, Any] = {"id": ident, "name": f"mac-{ident}", "budget_gb": 80.0, "well": True, "usable": True}
    return ServerView(**values | over)


def away(ident: int, **over: Any) -> ServerView:
    """A server that is enabled and out."""
    return server(ident, **{"well": False, "why_not": "is offline (refused)"} | over)


def disabled(ident: int, **over: Any) -> ServerView:
    return server(ident, **{"well": False, "usable": False, "why_not": "is disabled"} | over)


def model(ident: int = 1, need_gb: float = 20.0, **over: Any) -> ModelView:
    """A model with four slots that nobody has asked for lately."""
    return ModelView(id=ident, key=f"maker/model-{ident}", need_gb=need_gb, **{"slots": 4} | over)


def placed(ident: int, server_id: int = 1, model_id: int = 1, **over: Any) -> PlacementView:
    """A model that was loaded an hour ago and is idle, with four slots."""
    values: dict[str, Any] = {"state": PlacementState.LOADED, "gb": 20.0, "slots": 4, "since": LONG_AGO}
    return PlacementView(id=ident, server_id=server_id, model_id=model_id, **values | over)


def offer(server_id: int = 1, model_id: int = 1, **over: Any) -> OfferView:
    return OfferView(server_id=server_id, model_id=model_id, **over)


def wants(model_id: int = 1, waiting: int = 1, **over: Any) -> Demand:
    """Somebody who has waited for a second with the usual priority."""
    oldest = over.get("oldest", ago(1))
    return Demand(model_id=model_id, waiting=waiting, **{"priority": 50, "oldest": oldest, "turn": oldest} | over)


def state(
    servers: list[ServerView],
    models: list[ModelView],
    placements: list[PlacementView] | None = None,
    offers: list[OfferView] | None = None,
    disk: float = 0.0,
) -> ClusterState:
    """A cluster in which every server has every model on its disk, unless offers are given."""
    everywhere = [offer(s.id, m.id) for s in servers for m in models]
    return ClusterState(
        servers=servers,
        models={m.id: m for m in models},
        placements=placements or [],
        offers=everywhere if offers is None else offers,
        disk=disk,
    )


def candidate(ident: int, **over: Any) -> Candidate:
    """A warm placement that does nothing."""
    values: dict[str, Any] = {
        "server_id": ident,
        "server": f"mac-{ident}",
        "in_flight": 0,
        "slots": 4,
        "server_in_flight": 0,
        "free_gb": 40.0,
        "budget_gb": 80.0,
        "answer_s": 5.0,
        "weight": 1.0,
        "liking": 2,
        "used_at": 0.0,
    }
    return Candidate(placement_id=ident, **values | over)
