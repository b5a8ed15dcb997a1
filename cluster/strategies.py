"""The strategies there are: the built-in ones, and what plugins add through the hook `cluster_strategies`."""

from collections.abc import Mapping

from django.conf import settings

from cluster.logic.balancing import STRATEGIES, Strategy
from swwbot_site.lib import hooks


def table() -> Mapping[str, Strategy]:
    """Every strategy by name; a plugin's takes the place of a built-in one of the same name. Raises ImportError for a missing plugin."""
    hooks.load(settings.PLUGINS)
    found = dict(STRATEGIES)
    for more in reversed(hooks.manager.hook.cluster_strategies()):
        found.update(more)
    return found
