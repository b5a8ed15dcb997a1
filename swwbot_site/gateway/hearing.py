"""What a client says, as the ASGI server hands it over: the headers of a request and its body."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from swwbot_site.gateway.judging import Refused

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a request: pictures are large."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Gone(Exception):
    """The client went away."""


def header(scope: dict[str, Any], name: bytes, otherwise: bytes = b"") -> bytes:
    """The first header of this name, in lower case."""
    found: bytes = next((value for key, value in scope["headers"] if key == name), otherwise)
    return found


async def body(receive: Receive) -> bytes:
    """The body of a request. Raises Refused if it is too large, Gone."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST:
            text = f"The request is larger than {LARGEST // 1024 // 1024} MB."
            raise Refused(413, text, code="request_too_large")
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)
