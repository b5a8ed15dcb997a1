"""The cluster's part in the engine."""

from cluster import notify, pool, scaling, serve, swap, warm
from swwbot_site.lib.hooks import hookimpl
from swwbot_site.lib.loops import Loop


@hookimpl
def engine_loops() -> tuple[Loop, ...]:
    """Serving, and what it rests on: swaps of models, what is usual, and whether the servers are enough."""
    return (serve.loop(), swap.loop(), warm.loop(), pool.loop(), scaling.loop(), notify.loop())
