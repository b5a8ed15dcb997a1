"""The conversation's part in the engine."""

from conversations import cycle
from swwbot_site.lib.hooks import hookimpl
from swwbot_site.lib.loops import Loop


@hookimpl
def engine_loops() -> tuple[Loop, ...]:
    """Listening and delivering."""
    return cycle.loops()
