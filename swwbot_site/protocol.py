"""HTTP as uvicorn speaks it, with bounds where it has none: `uvicorn --http swwbot_site.protocol:Protocol`.

::

    a head without an end, trailers, chunks' extensions    431 once MOST bytes came that are no body
    a head that drips, a connection that says nothing      closed after PATIENCE_S
    a body that drips, or is sent on though it is refused  closed after UPLOAD_S
    requests sent before the one in front is answered      DEEPEST may wait; whoever hangs up ends all of them, the first as well
    an answer of unknown length to an HTTP/1.0 client      ends with the connection: he knows no chunks
"""

import asyncio
import sys
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST: Final = 64 * 1024
"""Bytes; up to what one read gives (256 kB) may be above it."""

PATIENCE_S: Final = 30.0
UPLOAD_S: Final = 300.0
DEEPEST: Final = 8

REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 32\r\nconnection: close\r\n\r\nThe head of it is far too long.\n"
)


class Protocol(HttpToolsProtocol):
    """One connection."""

    _unheard = 0
    """Bytes since something of a request was whole: its head, a piece of its body, its end."""
    _uploading = False
    """A request's head is there, and not all of its body."""
    _answering: RequestResponseCycle | None = None
    """What is answered now; `cycle` is what was asked last."""
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """It has some time to ask something."""
        super().connection_made(transport)
        self._wait(PATIENCE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever is answered is told, although others may have asked behind him."""
        self._heard()
        super().connection_lost(exc)
        if (one := self._answering) is not None and not one.response_complete:
            one.disconnected = True
            one.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Read on, if that leads to anything."""
        self._unheard += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unheard > MOST:
            if self._answering is None or self._answering.response_complete:  # not into another answer
                self.transport.write(REFUSAL)
            self.transport.close()
        elif self._uploading:
            self._wait(UPLOAD_S)
        elif self._unheard:
            self._wait(PATIENCE_S)

    def on_headers_complete(self) -> None:
        """A request has a head."""
        self._heard()
        self._uploading = True
        super().on_headers_complete()
        if 0 < len(self.pipeline) < DEEPEST:  # uvicorn would not read on, and so not hear that the client hangs up
            self.flow.resume_reading()

    def on_body(self, body: bytes) -> None:
        """It has some of its body."""
        self._unheard = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        self._heard()
        self._uploading = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, _unchunked(cycle, app) if cycle.scope["http_version"] == "1.0" else app)

    def _wait(self, seconds: float) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(seconds, self._late)

    def _heard(self) -> None:
        self._unheard = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _late(self) -> None:
        self._patience = None
        self.transport.close()


def _unchunked(cycle: RequestResponseCycle, app: Any) -> Any:
    """The application, its answers written as they are where their length is unknown."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        endless = False

        async def told(message: Any) -> None:
            nonlocal endless
            if message["type"] == "http.response.start":
                endless = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
                if endless:
                    cycle.chunked_encoding, cycle.expected_content_length = False, sys.maxsize
            elif endless and not message.get("more_body", False):
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, told)

    return application
