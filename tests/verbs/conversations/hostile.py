"""A message backend that stores what it is sent and answers as it likes, and that remembers every request in its order."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


class Hostile:
    """Serves the list of every generation; its next posts are answered by `answers`, one each, then soundly.

    An answer that begins with `refuse` stores nothing.
    """

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self.answers: list[Answer] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/api/comments", self._list)
        app.router.add_post("/api/comments", self._post)
        app.router.add_route("*", "/{path:.*}", self._other)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def posts(self) -> list[str]:
        """The ids that were posted, in order, however often."""
        return [one.removeprefix("POST ") for one in self.seen if one.startswith("POST ")]

    async def _list(self, request: web.Request) -> web.Response:
        self.seen.append("GET")
        after = int(request.query.get("after", "0"))
        return web.json_response([one for one in self.kept if one["timestamp"] > after])

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.seen.append(f"POST {body['id']}")
        answer = self.answers.pop(0) if self.answers else sound
        if not answer.__name__.startswith("refuse"):
            self.kept.append(body)
        return await answer(request, body)

    async def _other(self, request: web.Request) -> web.Response:
        self.seen.append(f"{request.method} {request.path}")
        return web.json_response({"success": True})


async def sound(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"id": body["id"], "timestamp": body["timestamp"]})


def says(status: int, text: str | bytes = "", **headers: str) -> Answer:
    """It keeps the post and answers so."""

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=text.encode() if isinstance(text, str) else text, headers=named)

    return answer


def refuses(status: int, text: str | bytes = "", **headers: str) -> Answer:
    """It keeps nothing and answers so."""
    answer = says(status, text, **headers)
    answer.__name__ = "refuse"
    return answer


async def renames(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """It keeps the post under a number of its own, and an earlier time."""
    body["id"], body["timestamp"] = 4711, body["timestamp"] - 5000
    return await sound(request, body)


async def resets(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """The connection breaks in the middle of the answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": ')
    assert request.transport is not None
    request.transport.abort()
    return response


async def dawdles(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """It answers when nobody waits any more."""
    await asyncio.sleep(3600)
    return await sound(request, body)


async def floods(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """It answers with more than anybody wants to hold."""
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b" " * 1_000_000)
    except ConnectionError:
        return response
