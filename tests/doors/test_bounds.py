"""Bodies that are too large, for all that Django answers."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.core.asgi import get_asgi_application

from swwbot_site.bounds import bounded
from swwbot_site.lib.payload import LARGEST

PIECE = 1024 * 1024


class Client:
    """A client that sends as long as it is listened to."""

    def __init__(self, pieces: int, announced: bytes = b"", path: str = "/api/v1/entities/") -> None:
        self.left, self.taken = pieces, 0
        self.answers: list[dict[str, Any]] = []
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost"), *([(b"content-length", announced)] if announced else [])],
        }

    async def receive(self) -> dict[str, Any]:
        if self.left <= 0:
            await asyncio.Event().wait()
        self.left -= 1
        self.taken += PIECE
        return {"type": "http.request", "body": b"x" * PIECE, "more_body": self.left > 0}

    async def send(self, message: dict[str, Any]) -> None:
        self.answers.append(message)

    def ask(self, pages: Callable[..., Any]) -> int:
        asyncio.run(asyncio.wait_for(bounded(pages, self.scope, self.receive, self.send), 20))
        assert [one["type"] for one in self.answers] == ["http.response.start", "http.response.body"]
        return int(self.answers[0]["status"])


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("it was to be refused before")


@pytest.mark.parametrize("announced", [str(LARGEST + 1).encode(), b"9" * 19, b"9" * 5000])
def test_what_says_that_it_is_too_large_is_not_read(announced: bytes) -> None:
    client = Client(100, announced)
    assert client.ask(nobody) == 413
    assert client.taken == 0
    assert b'"code": "too_large"' in client.answers[1]["body"]


@pytest.mark.parametrize("path", ["/api/v1/config/import/", "/admin/swwbot_site/configimport/add/", "/admin/login/", "/"])
def test_what_turns_out_too_large_is_read_no_further(path: str) -> None:
    for announced in (b"", b"12"):
        client = Client(1000, announced, path)
        assert client.ask(get_asgi_application()) == 413
        assert LARGEST < client.taken <= LARGEST + PIECE
        json = dict(client.answers[0]["headers"])[b"content-type"] == b"application/json"
        assert json == path.startswith("/api/")


def test_what_is_just_small_enough_is_passed_on_as_it_is() -> None:
    heard = []

    async def pages(scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            heard.append(len(message["body"]))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    for announced in (b"", str(LARGEST).encode(), b"-1", b"x"):
        heard.clear()
        assert Client(LARGEST // PIECE, announced).ask(pages) == 204
        assert sum(heard) == LARGEST
