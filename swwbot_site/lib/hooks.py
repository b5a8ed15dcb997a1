"""The places where others may hang something in; the project's own parts use the same hooks.

A plugin is a module (or object) with functions of these names, marked with `hookimpl`, named in the setting `PLUGINS`, or
registered by an app of the project when it is ready.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

from swwbot_site.lib.errors import BotError, Fault

if TYPE_CHECKING:
    from swwbot_site.lib.loops import Loop

PROJECT = "swwbot"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolEndpoint:
    """A model server that a pool manager hands out. `budget_gb` is what models may take of its memory."""

    pool: str
    """The pool's own name; its servers are told by it from those that people have entered."""
    name: str
    """Unique among all servers, and always the same for the same machine."""
    url: str
    budget_gb: float
    token: str = ""
    dialect: str = "auto"
    region: str = ""
    slots: int | None = None
    weight: float = 1.0


class Specs:
    """Every hook, with when it is called and what it may give."""

    @hookspec
    def engine_loops(self) -> "Sequence[Loop]":  # type: ignore[empty-body]
        """Called once when an engine starts: the loops it should run side by side."""

    @hookspec
    def on_step(self, step: str) -> None:
        """Called when one of the twelve steps of a message is entered or left, in whatever thread does it ("post.before")."""

    @hookspec
    def weight(self, scene: Any, cast: Any) -> "Mapping[str, Mapping[str, float]]":  # type: ignore[empty-body]
        """Called once for each message that is judged by chance: what the chances are multiplied with, and why.

        Gives the name of a rule → entity id → factor (0 …); the id "*" means everybody. `scene` is a
        `conversations.logic.verdict.Scene`, `cast` a `conversations.logic.cast.Cast`. All factors of an entity are multiplied.
        """

    @hookspec
    def before_prompt(self, draft: Any) -> None:
        """Called with the parts of the request for an answer (a `conversations.logic.prompt.Draft`: system, instruction, lines, warmup,
        sampling, max_tokens, stop); may change them in place. Its `messages` are laid out and fitted into the context afterwards, unless
        a plugin fills them itself. What raises ends that answer with its reason.
        """

    @hookspec
    def after_reply(self, draft: Any) -> None:
        """Called with what a model wrote (a `conversations.logic.reply.Draft`), before it is posted; may change its text in place,
        or say in `why` that it must not be posted. What raises ends that answer with its reason."""

    @hookspec
    def on_event(self, event: Any) -> None:
        """Called after every event that is told to people (a `swwbot_site.lib.events.Happening`). What raises is logged."""

    @hookspec
    def reply_strategies(self) -> "Mapping[str, Any]":  # type: ignore[empty-body]
        """Called when strategies are looked up: more ways to choose who answers by chance, each an
        `entities.logic.selection.Strategy`."""

    @hookspec
    def persona_problems(self, persona: Any) -> "Sequence[str]":  # type: ignore[empty-body]
        """Called before a changed entity is kept (an `entities.logic.persona.Persona` as it would be): why it must not be. None: nothing."""

    @hookspec
    def cluster_strategies(self) -> "Mapping[str, Any]":  # type: ignore[empty-body]
        """Called when strategies are looked up: more of them by name, each a `cluster.logic.balancing.Strategy`."""

    @hookspec
    def pool_endpoints(self) -> "Sequence[PoolEndpoint]":  # type: ignore[empty-body]
        """Called about every 15 s, by one engine: every server that the pool hands out at this moment.

        New ones join, those that are missing finish what they have and are disabled. Whoever cannot tell raises: then nothing
        changes. All engines need the same plugins.
        """

    @hookspec
    def scale_out(self, reason: "Mapping[str, Any]") -> None:
        """Called when requests wait too long although every server is busy or full; again every 5 minutes while that lasts.

        `reason`: model, waiting, oldest_s, expected_s, servers, missing_slots, missing_gb, memory_gb (a server of that size would do).
        What raises is called again; so it may be called twice for one need.
        """

    @hookspec
    def scale_in(self, server: str, reason: "Mapping[str, Any]") -> None:
        """Called when nobody has needed a pool's server for long and the others can do its work. `reason`: idle_s, held_gb, budget_gb, pool.

        Like `scale_out`, it may be called again. The server goes when its pool hands it out no longer.
        """


manager = pluggy.PluginManager(PROJECT)
manager.add_hookspecs(Specs)


def step(name: str) -> None:
    """Tell the plugins that a step is reached; for tracing, and for tests that stop the world there."""
    manager.hook.on_step(step=name)


def load(names: Sequence[str]) -> None:
    """Register the plugin modules of these dotted names, each once. Raises ImportError for one that is not there."""
    for name in names:
        module = import_module(name)
        if not manager.is_registered(module):
            manager.register(module, name=name)


def calls(name: str, **arguments: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The plugins of a hook one by one, in pluggy's order: its name and its call, for whoever must know which of them raised.

    Wrappers are not called.
    """
    for each in reversed(getattr(manager.hook, name).get_hookimpls()):
        if not (each.wrapper or each.hookwrapper):
            yield each.plugin_name, partial(each.function, *(arguments[argument] for argument in each.argnames))


class PluginFailed(BotError):
    """A plugin raised where everybody waits for what it does."""

    code = "plugin-failed"
    fault = Fault.OPERATOR

    def __init__(self, plugin: str, hook: str, error: Exception) -> None:
        super().__init__(f"The plugin {plugin} failed in {hook}: {type(error).__name__}: {error}. Mend it, or take it out of PLUGINS.")


def every(name: str, **arguments: Any) -> None:
    """Call all plugins of a hook, one after the other. Raises PluginFailed for the first that raises; a BotError stays what it is."""
    for plugin, call in calls(name, **arguments):
        try:
            call()
        except BotError:
            raise
        except Exception as error:
            raise PluginFailed(plugin, name, error) from error


def heard(name: str) -> bool:
    """Whether any plugin has this hook."""
    return bool(getattr(manager.hook, name).get_hookimpls())
