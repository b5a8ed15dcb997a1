"""What an engine gives to the loops it runs: rows in threads, network on one client, a way to hear of work and of the end."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx

from swwbot_site.lib.wake import Channel

T = TypeVar("T")


class Rows(Protocol):
    """Runs a plain function that touches rows in one of the engine's threads, on that thread's lasting connection."""

    async def __call__(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T: ...


@dataclass(slots=True, kw_only=True)
class Context:
    """One engine, as its loops see it."""

    owner: int
    rows: Rows
    http: httpx.AsyncClient
    stopping: asyncio.Event
    tasks: "asyncio.TaskGroup"
    bells: dict[Channel, asyncio.Event] = field(default_factory=dict)

    def ring(self, channel: Channel) -> None:
        """Wake the loop of this engine that waits on `channel`."""
        self.bells[channel].set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside the loops; the engine waits for it before it ends."""
        return self.tasks.create_task(work, name=name)


class Turn(Protocol):
    """One round of a loop; returns the seconds after which it wants to look again by itself."""

    def __call__(self, context: Context) -> Awaitable[float]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop of the engine: `turn` runs when `channel` rings, and by itself after the seconds it asked for."""

    name: str
    channel: Channel
    turn: Turn
    finish: Callable[[Context], Awaitable[None]] | None = None
    """Called once at the end, after the last turn: give back what is not begun."""
