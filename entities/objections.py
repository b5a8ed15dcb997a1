"""What plugins have against a persona, asked before it is kept: the hook `persona_problems`."""

import structlog
from django.conf import settings

from entities.errors import Refused
from entities.models import Entity
from entities.read import persona
from swwbot_site.lib import hooks

log = structlog.get_logger(__name__)


def objections(row: Entity) -> tuple[str, ...]:
    """Why this entity must not be kept as it is, saved or not. A plugin that cannot judge it is an objection too."""
    hooks.load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
    if not hooks.heard("persona_problems"):
        return ()
    found: list[str] = []
    for name, ask in hooks.calls("persona_problems", persona=persona(row)):
        try:
            found += [str(problem) for problem in ask() or ()]
        except Exception as error:  # strange code: what it cannot judge is kept out, and says so
            log.exception("plugin.failed", plugin=name, hook="persona_problems")
            found.append(f"the plugin {name} could not judge it: {type(error).__name__}: {error}")
    return tuple(found)


def heed(row: Entity) -> None:
    """Raises Refused if a plugin objects."""
    if found := objections(row):
        raise Refused(row.slug, found)
