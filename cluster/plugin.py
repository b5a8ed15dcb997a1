"""The cluster's part in the engine."""

from cluster import serve
from swwbot_site.lib.hooks import hookimpl
from swwbot_site.lib.loops import Loop


@hookimpl
def engine_loops() -> tuple[Loop, ...]:
    """Serving."""
    return (serve.loop(),)
