"""What a client says, as the ASGI server hands it over: the headers of a request and its body."""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from swwbot_site.gateway.judging import Refused

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a request: pictures are large."""

DIGITS: Final = 20
"""A longer number is not read: it is too large."""

LOCAL: Final = (".localhost", "127.0.0.1", "[::1]")
"""Django's hosts where DEBUG is on and none are named."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Gone(Exception):
    """The client went away."""


def header(scope: dict[str, Any], name: bytes, otherwise: bytes = b"") -> bytes:
    """The first header of this name, in lower case."""
    found: bytes = next((value for key, value in scope["headers"] if key == name), otherwise)
    return found


def hosted(scope: dict[str, Any]) -> None:
    """Raises Refused where the request asks for a host that is not ours, by Django's rules for its pages."""
    said = [value for key, value in scope["headers"] if key == b"host"]
    if not said:  # HTTP/1.0 needs none: then it is the address that was connected to
        said = [str((scope.get("server") or ("",))[0]).encode()]
    if not _ours(b",".join(said), tuple(settings.ALLOWED_HOSTS), debug=settings.DEBUG):
        text = "The request asks for a host that is not among this site's ALLOWED_HOSTS. Ask for one that is, or add it to that setting."
        raise Refused(400, text, code="host_not_allowed")


@lru_cache(maxsize=256)
def _ours(said: bytes, allowed: tuple[str, ...], *, debug: bool) -> bool:
    """The verdict on one host; there are few, and a verdict takes longer than to remember it."""
    name, _ = split_domain_port(said.decode("latin-1"))
    return bool(name) and validate_host(name, allowed or (LOCAL if debug else ()))


async def body(scope: dict[str, Any], receive: Receive) -> bytes:
    """The body of a request. Raises Refused if it is too large, or says that it is, and Gone."""
    announced = header(scope, b"content-length", b"0")
    if announced.isdigit() and (len(announced) > DIGITS or int(announced) > LARGEST):
        raise _large()
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST:
            raise _large()
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _large() -> Refused:
    return Refused(413, f"The request is larger than {LARGEST // 1024 // 1024} MB.", code="request_too_large")
