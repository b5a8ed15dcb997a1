"""Pictures of the servers' memory: a bar for each server, a piece of it for each model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from cluster.read import Held, Machine, Overview

HUES: Final = 12
"""Colours of models in the style sheet."""

WIDTH: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One model: where its piece begins and how long it is, of WIDTH."""

    held: Held
    x: float
    width: float
    hue: int

    @property
    def told(self) -> str:
        """What the pointer shows."""
        share = f", {self.held.progress:.0%}" if self.held.progress is not None else ""
        return f"{self.held.model}: {self.held.gb:.1f} GB, {self.held.state}{share}, {self.held.in_flight} of {self.held.slots} slots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One server's memory."""

    server: Machine
    pieces: tuple[Piece, ...]
    state: str

    @property
    def told(self) -> str:
        return f"{self.server.held_gb:.0f} of {self.server.budget_gb:.0f} GB"


def bars(view: Overview) -> tuple[Bar, ...]:
    """The memory of every server, by name."""
    hues = colours(view)
    return tuple(_bar(server, hues) for server in view.servers)


def colours(view: Overview) -> dict[str, int]:
    """A colour for each model that is in memory or waited for: on every page the same."""
    return palette([held.model for server in view.servers for held in server.held] + [waiting.model for waiting in view.queue])


def palette(models: Iterable[str]) -> dict[str, int]:
    """A colour for each model: its own, or the next free one where two would share; the same whatever the order."""
    chosen: dict[str, int] = {}
    for model in sorted(set(models)):
        hue = crc32(model.encode("utf-8", "surrogatepass")) % HUES
        while hue in chosen.values() and len(chosen) < HUES:
            hue = (hue + 1) % HUES
        chosen[model] = hue
    return chosen


def _bar(server: Machine, hues: Mapping[str, int]) -> Bar:
    full = max(server.budget_gb, server.held_gb) or 1.0
    pieces, x = [], 0.0
    for held in sorted(server.held, key=lambda one: (-one.gb, one.model, one.instance)):
        width = WIDTH * held.gb / full
        pieces.append(Piece(held=held, x=round(x, 2), width=round(width, 2), hue=hues[held.model]))
        x += width
    state = "off" if not server.enabled else "draining" if server.draining and server.state == "online" else server.state
    return Bar(server=server, pieces=tuple(pieces), state=state)
