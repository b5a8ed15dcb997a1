"""What an engine gives to the loops it runs: rows in threads, network on one client, a way to hear of work and of the end."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from swwbot_site.lib.http import HttpClient
from swwbot_site.lib.wake import Channel

T = TypeVar("T")


class Rows(Protocol):
    """Runs a plain function that touches rows in one of the engine's threads, on that thread's lasting connection."""

    async def __call__(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T: ...


class Spawn(Protocol):
    """Starts a coroutine beside the loops."""

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]: ...


@dataclass(slots=True, kw_only=True)
class Context:
    """One engine, as its loops see it."""

    owner: int
    rows: Rows
    http: HttpClient
    stopping: asyncio.Event
    """Begin nothing new."""
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    """End within seconds; until then, what runs may finish."""
    spawn: Spawn
    """Run work beside the loops; what it raises is logged, and the engine waits for it before it ends."""
    bells: dict[Channel, asyncio.Event] = field(default_factory=lambda: {channel: asyncio.Event() for channel in Channel})

    def ring(self, channel: Channel) -> None:
        """Wake the loop of this engine that waits on `channel`."""
        self.bells[channel].set()

    def heard(self, channel: Channel) -> bool:
        """Whether `channel` has rung since this was asked last; for one that no loop waits on."""
        bell = self.bells[channel]
        rang = bell.is_set()
        bell.clear()
        return rang


class Turn(Protocol):
    """One round of a loop; returns the seconds after which it wants to look again by itself."""

    def __call__(self, context: Context) -> Awaitable[float]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop of the engine: `turn` runs when `channel` rings, and by itself after the seconds it asked for."""

    name: str
    channel: Channel
    turn: Turn
    pace_s: float = 0.0
    """The least time between the beginnings of two turns, however often the bell rings."""
    finish: Callable[[Context], Awaitable[None]] | None = None
    """Called once at the end, after the last turn: finish or give back what is held, within about 7 s once `hurry` is set."""
    renew: Callable[[int, datetime], None] | None = None
    """Rows: renew every lease of an owner."""
    reap: Callable[[datetime, frozenset[int]], int] | None = None
    """Rows: take back what dead owners held, given the living ones; returns how much."""


async def landed(flights: list[asyncio.Task[None]], hurry: asyncio.Event, patience_s: float) -> None:
    """Wait for the flights to end; once there is a hurry, only for `patience_s`."""
    pressed: asyncio.Task[Any] = asyncio.create_task(hurry.wait())
    flying: set[asyncio.Task[Any]] = set(flights)
    while flying and not pressed.done():
        flying = (await asyncio.wait({*flying, pressed}, return_when=asyncio.FIRST_COMPLETED))[1] - {pressed}
    if flying:
        await asyncio.wait(flying, timeout=patience_s)
    pressed.cancel()
