"""A listener between the cluster and a model server: it hands everything on, and keeps the bodies of chats."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiohttp import web

from tests.harness import Background

HOP = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class Wiretap:
    """One server behind it, at `target`; reached at `url`."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.url = ""
        self.chats: list[dict[str, Any]] = []
        """Bodies of chat completions, in the order they came."""

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path.endswith("/chat/completions"):
            self.chats.append(json.loads(body))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        async with self._session.request(request.method, self.target + request.path_qs, data=body, headers=headers) as answer:
            response = web.StreamResponse(status=answer.status, headers={n: v for n, v in answer.headers.items() if n.lower() not in HOP})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


@contextmanager
def tapped(background: Background, target: str) -> Iterator[Wiretap]:
    """A wiretap before `target`, as long as the block lasts."""
    one = Wiretap(target)
    background.run(one.start())
    try:
        yield one
    finally:
        background.run(one.stop())
