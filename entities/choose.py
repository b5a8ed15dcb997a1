"""The door to the ways of choosing who answers by chance: the built-in ones, and what plugins add through the hook `reply_strategies`."""

from collections.abc import Mapping

from django.conf import settings

from entities.logic.selection import STRATEGIES, Strategy
from swwbot_site.lib import hooks
from swwbot_site.lib.errors import BotError, Fault


class UnknownStrategy(BotError):
    """A feed or a room names a strategy that nobody brings."""

    code = "unknown-strategy"
    fault = Fault.OPERATOR


def table() -> Mapping[str, Strategy]:
    """Every strategy by name; a plugin's takes the place of a built-in one of the same name. Raises ImportError for a missing plugin."""
    hooks.load(settings.PLUGINS)
    found = dict(STRATEGIES)
    for more in reversed(hooks.manager.hook.reply_strategies()):
        found.update(more)
    return found


def strategy(name: str) -> Strategy:
    """The strategy of this name. Raises UnknownStrategy, which names the known ones."""
    known = table()
    if name not in known:
        raise UnknownStrategy(
            f"There is no reply strategy {name!r}. Choose one of {', '.join(sorted(known))}, or name its plugin in PLUGINS."
        )
    return known[name]
