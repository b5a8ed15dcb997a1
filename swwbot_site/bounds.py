"""How large a request may be, for all that Django answers: it would write any body to disk before somebody looked at it.

What announces that it is too large is refused unread; what turns out to be is refused as soon as it is.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from swwbot_site.lib.payload import LARGEST, TooLarge

ADVICE: Final = f"The request has more than {LARGEST} bytes. A larger configuration is read in with manage.py importconfig FILE.\n"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


async def bounded(pages: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Have `pages` answer a request, or refuse it."""
    if _announced(scope) > LARGEST:
        await _refuse(scope, send)
        return
    size, full = 0, False

    async def heard() -> Mapping[str, Any]:
        nonlocal size, full
        message = await receive()
        size += len(message.get("body", b""))
        if size <= LARGEST:
            return message
        full = True
        return {"type": "http.disconnect"}

    async def told(message: Mapping[str, Any]) -> None:
        if not full:
            await send(message)

    await pages(scope, heard, told)
    if full:
        await _refuse(scope, send)


def _announced(scope: Scope) -> int:
    """The length that a request says it has; one that is no number is for the web server to judge."""
    digits = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if not digits.isdigit():
        return 0
    return int(digits) if len(digits) < 20 else LARGEST + 1


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["path"].startswith("/api/"):
        kind, body = b"application/json", json.dumps({"code": TooLarge.default_code, "detail": TooLarge.default_detail}).encode()
    else:
        kind, body = b"text/plain; charset=utf-8", ADVICE.encode()
    head = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": TooLarge.status_code, "headers": [*head, (b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": body})
