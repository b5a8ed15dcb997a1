"""Ask every plugin, the project's own rules among them, what weighs on a message. One that raises is told, and its rules are left out."""

import structlog
from django.conf import settings

from conversations.logic.cast import Cast
from conversations.logic.scene import Scene
from conversations.logic.weights import Rule, Weights, checked
from swwbot_site.lib import hooks
from swwbot_site.lib.events import Level, say

log = structlog.get_logger(__name__)

_told: set[str] = set()


def weigh(scene: Scene, cast: Cast, *, tell: bool = True) -> Weights:
    """The rules that weigh on the message, in the plugins' order. `tell`: whether people hear of a plugin that raises; a replay only
    keeps it in the verdicts."""
    hooks.load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
    rules: list[Rule] = []
    failed: dict[str, str] = {}
    for plugin, call in hooks.calls("weight", scene=scene, cast=cast):
        try:
            given = call()
            rules += checked(given) if given is not None else []
        except Exception as error:  # a plugin is strange code; the decision goes on without it, and says so
            failed[plugin] = f"{type(error).__name__}: {error}"
            log.exception("plugin.failed", plugin=plugin, hook="weight")
            if tell:
                _tell(plugin, failed[plugin])
    return Weights.of(rules, failed)


def _tell(plugin: str, why: str) -> None:
    """Once per process for each plugin and reason, not for each message."""
    if f"{plugin} {why}" in _told or len(_told) > 1000:
        return
    _told.add(f"{plugin} {why}")
    text = f"The plugin {plugin} failed in weight: {why}. Chances are weighed without its rules; mend it, or take it out of PLUGINS."
    say("plugin.failed", text, subject=f"plugin:{plugin}", level=Level.ERROR)
