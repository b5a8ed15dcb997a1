"""Step 1 of the planner's tree: whether any server could ever serve a demand."""

from collections.abc import Collection

from cluster.logic.board import runs
from cluster.logic.state import ClusterState, Demand, OfferView, ServerView


def hopeless(state: ClusterState, need: Demand) -> str:
    """Why no server could ever serve this demand; empty if one could. A server that drains will be back."""
    for placement in state.places(need.model_id, need.pin_id):
        if _enabled(state.servers[placement.server_id]):
            return ""
    model = state.models[need.model_id]
    for offer in state.offering(need.model_id, need.pin_id):
        server = state.servers.get(offer.server_id)
        if server is not None and _runs(server, offer, need) and server.budget_gb >= model.need_gb:
            return ""
    return _why(state, need, state.offering(need.model_id, None))


def _enabled(server: ServerView) -> bool:
    return server.usable or server.draining


def _runs(server: ServerView, offer: OfferView, need: Demand) -> bool:
    if not _enabled(server) or need.pin_id not in (None, server.id):
        return False
    return runs(server, offer)


def _why(state: ClusterState, need: Demand, offers: Collection[OfferView]) -> str:
    model = state.models[need.model_id]
    enabled = [s for s in state.servers.values() if _enabled(s)]
    here = {s.id for s in enabled if need.pin_id in (None, s.id)}
    if not enabled:
        return "No server is enabled. Add one, or enable one, in the admin."
    if not here:
        name = state.servers[need.pin_id].name if need.pin_id in state.servers else "a server that is gone"
        return f"It may only run on {name}, which is disabled. Enable it, or take away the pin."
    offering = {o.server_id for o in offers}
    if any(not s.well and s.id in here and (s.draining or s.id not in offering) for s in enabled):
        return ""  # a server that was not seen yet, or is away, may have it
    if not offers:
        names = ", ".join(sorted(s.name for s in enabled)[:10])
        return f"No server has the model {model.key}. Download it on one of {names}, or correct the name."
    allowed = [s for o in offers if (s := state.servers.get(o.server_id)) and _runs(s, o, need)]
    if not allowed:
        return f"The model {model.key} is on no server where it may run (pin, format, enabled)."
    largest = max(allowed, key=lambda s: (s.budget_gb, -s.id))
    return (
        f"{model.key} needs {model.need_gb:.1f} GB, and {largest.name}, the largest server that has it, can give {largest.budget_gb:.1f} GB."
        " Load it with a smaller context, use a smaller quantization, or raise the server's budget."
    )
