"""The places where others may hang something in; the project's own parts use the same hooks.

A plugin is a module (or object) with functions of these names, marked with `hookimpl`, named in the setting `PLUGINS`, or
registered by an app of the project when it is ready.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pluggy

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
