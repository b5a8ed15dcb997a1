"""One answer on its way to its client: a stream of events, or one document.

A stream that has nothing to say for a second says in a comment what it waits for; so its headers go out before its seat is known, and
name no server then, which a later comment does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from cluster.logic.relaying import Seated
from swwbot_site.gateway import shapes
from swwbot_site.gateway.faults import Header, told

SILENT_S: Final = 1.0
"""A stream is never silent for longer."""

STUCK_S: Final = 30.0
"""So long a client may take none of what it is sent: a seat is kept for it meanwhile."""

JSON: Final = (b"content-type", b"application/json")
EVENTS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
SAFE: Final = (b"x-content-type-options", b"nosniff")

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def whole(send: Send, status: int, value: object, headers: list[Header]) -> None:
    """Send one document."""
    body = shapes.written(value)
    head = [JSON, (b"content-length", str(len(body)).encode()), SAFE, *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=1024)
def plain(name: str) -> str:
    """A name as a header may hold it."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in name)


def marks(seated: Seated, spent_s: float) -> dict[str, str]:
    """What is told of a request beside its answer; `spent_s` are seconds in all, `wait_s` of them were waiting."""
    return {
        "x-sww-generation": str(seated.id),
        "x-sww-server": plain(seated.server),
        "x-sww-wait-ms": f"{seated.wait_s * 1000:.1f}",
        "x-sww-overhead-ms": f"{max(0.0, spent_s - seated.wait_s) * 1000:.1f}",
    }


def headers(marked: Mapping[str, str]) -> list[Header]:
    """The same as headers."""
    return [(name.encode(), value.encode()) for name, value in marked.items()]


class Stream:
    """The stream to one client, made in the task that answers it. A client that takes nothing for `STUCK_S` has left: the task is cancelled."""

    def __init__(self, send: Send) -> None:
        self._to = send
        self._task = asyncio.current_task()
        self._began: float | None = None
        self._loop = asyncio.get_running_loop()
        self._marks: Mapping[str, str] = {}
        self._begun = False
        self._over = False
        self._beat: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(SILENT_S, self._silent)
        self._last = self._loop.time()
        self.stuck = False
        self.text = "waits"
        """What it waits for."""

    async def waits(self, text: str) -> None:
        """It waits still; `text` says for what, if that is known."""
        if text and text != self.text:
            self.text = text
            await self._say(shapes.comment(text))

    async def seated(self, marked: Mapping[str, str]) -> None:
        """It is asked now."""
        self._marks, self.text = marked, f"asked {marked['x-sww-server']}, which has not begun to answer"
        if self._begun:
            await self._say(shapes.comment("; ".join(f"{name}: {value}" for name, value in marked.items())))

    async def piece(self, value: object) -> None:
        """Pass a piece on."""
        await self._say(shapes.event(value))

    async def end(self) -> None:
        """There is nothing more."""
        self.close()
        await self._say(shapes.DONE)
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, fault: Exception) -> None:
        """It has failed: with a status of its own if the client has heard nothing, otherwise with an event, and no end like that of an
        answer."""
        self.close()
        status, body, more = told(fault)
        if not self._begun:
            self._begun = True
            await whole(self._send, status, body, more)
            return
        await self._say(shapes.event(body))
        await self._send({"type": "http.response.body", "body": b""})

    def close(self) -> None:
        """Say nothing more by itself."""
        self._over = True
        self._timer.cancel()
        if self._beat:
            self._beat.cancel()

    async def _say(self, data: bytes) -> None:
        self._last = self._loop.time()
        if not self._begun:
            self._begun = True
            head = [*EVENTS, SAFE, *headers(self._marks)]
            await self._send({"type": "http.response.start", "status": 200, "headers": head})
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _send(self, message: dict[str, Any]) -> None:
        self._began = self._loop.time()
        await self._to(message)
        self._began = None

    def _silent(self) -> None:
        """Say what it waits for, if it was silent for so long."""
        if self._over:
            return
        if self._began is not None and self._task and self._loop.time() - self._began > STUCK_S:
            self.stuck = True
            self._task.cancel()
            return
        left = self._last + SILENT_S - self._loop.time()
        if left <= 0 and (self._beat is None or self._beat.done()):
            self._beat = self._loop.create_task(self._say(shapes.comment(self.text)))
        self._timer = self._loop.call_later(max(left, 0.0) or SILENT_S, self._silent)
