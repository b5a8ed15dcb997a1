"""Serving speaks to servers only while no transaction is open."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.db import connection

from cluster import queue
from cluster.lmstudio.emulator import Emulator
from cluster.logic.request import Request
from cluster.models import Generation, Placement
from cluster.serve import loop
from swwbot_site.lib import clock, http
from swwbot_site.lib.loops import Context
from tests import build


class Watched(httpx.AsyncBaseTransport):
    """The real transport, that is never used inside a transaction."""

    def __init__(self) -> None:
        self._inner = http.client()
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert not connection.in_atomic_block, f"{request.method} {request.url} inside a transaction"
        self.asked.append(f"{request.method} {request.url.path}")
        return await self._inner.send(request, stream=True)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.django_db(transaction=True)
async def test_no_request_leaves_inside_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # rows and network in one thread, so that the one sees the other
    emulator = Emulator(["maker/one:8", "maker/two:8"], memory_gb=16)
    await emulator.start()
    build.server(url=emulator.url, budget_gb=16, state="unknown", detected="", listed_at=None)
    build.policy(min_residency_s=0)

    async def rows(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    transport, serve = Watched(), loop()
    async with httpx.AsyncClient(transport=transport) as client:
        context = Context(
            owner=1,
            rows=rows,
            http=client,
            stopping=asyncio.Event(),
            spawn=lambda work, name: asyncio.get_running_loop().create_task(work, name=name),
        )
        for model in ("maker/one", "maker/two"):
            queue.submit(model, Request(messages=[{"role": "user", "content": "Hello?"}]), caller="test", now=clock.now())
            async with asyncio.timeout(60):
                while Generation.objects.filter(state__in=["queued", "running"]).exists():
                    await serve.turn(context)
                    await asyncio.sleep(0.01)
        assert serve.finish is not None
        await serve.finish(context)
    await emulator.stop()
    assert set(Generation.objects.values_list("state", flat=True)) == {"done"}
    assert sorted(Placement.objects.values_list("state", flat=True)) == ["gone", "loaded"]
    connection.close()  # it belongs to this coroutine alone
    wanted = {"/api/v1/models", "/api/v1/models/load", "/api/v1/models/unload", "/v1/chat/completions"}
    assert wanted <= {one.partition(" ")[2] for one in transport.asked}
