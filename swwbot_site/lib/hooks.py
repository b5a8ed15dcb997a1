"""The places where others may hang something in; the project's own parts use the same hooks.

A plugin is a module (or object) with functions of these names, marked with `hookimpl`, named in the setting `PLUGINS`, or
registered by an app of the project when it is ready.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from swwbot_site.lib.loops import Loop

PROJECT = "swwbot"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Specs:
    """Every hook, with when it is called and what it may give."""

    @hookspec
    def engine_loops(self) -> "Sequence[Loop]":  # type: ignore[empty-body]
        """Called once when an engine starts: the loops it should run side by side."""

    @hookspec
    def on_step(self, step: str) -> None:
        """Called when one of the twelve steps of a message is entered or left, in whatever thread does it ("post.before")."""


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
