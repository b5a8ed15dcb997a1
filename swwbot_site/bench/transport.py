"""Requests a second through our HTTP client and through httpx's own pool, against one emulated server, in one run."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx

from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.openai import chat
from cluster.lmstudio.values import ChatRequest, Endpoint, Timeouts
from swwbot_site.bench import stage
from swwbot_site.lib import http

LEVELS = (8, 64, 256)
REQUESTS = 2000
LIMIT_S = 60.0
MODEL = "bench/model"
SAID = (
    {"role": "system", "content": "You are terse, friendly and never repeat yourself."},
    {"role": "user", "content": "Say something about the number 17."},
)

Ask = Callable[[httpx.AsyncClient, Endpoint, str], Awaitable[bool]]
"""One streamed chat with a model at an endpoint; whether an answer came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to ask: whose connections, and what is made of the answer."""

    name: str
    connections: Callable[[], httpx.AsyncClient]
    ask: Ask


async def _raw(pool: httpx.AsyncClient, endpoint: Endpoint, model: str) -> bool:
    """The same bytes sent, the stream read to its end and thrown away."""
    wanted = chat(ChatRequest(model=model, messages=SAID, max_tokens=200))
    limits = httpx.Timeout(None, connect=20.0, pool=20.0)
    try:
        request = pool.build_request(wanted.method, endpoint.url + wanted.path, content=wanted.encoded(), timeout=limits)
        response = await pool.send(request, stream=True)
        async for _ in response.aiter_bytes():
            continue
        await response.aclose()
    except httpx.HTTPError:
        return False
    return response.status_code == 200


async def _ours(pool: httpx.AsyncClient, endpoint: Endpoint, model: str) -> bool:
    try:
        await Client(pool).chat(endpoint, ChatRequest(model=model, messages=SAID, max_tokens=200), Timeouts(connect_s=20, total_s=LIMIT_S))
    except PeerError:
        return False
    return True


def _pool() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=1024), trust_env=False)


RAW = Way(name="raw httpx", connections=_pool, ask=_raw)
BARE = Way(name="raw httpx, aiohttp transport", connections=http.client, ask=_raw)
OURS = Way(name="aiohttp transport (ours)", connections=http.client, ask=_ours)
THEIRS = Way(name="httpx's own pool", connections=_pool, ask=_ours)


def run() -> list[dict[str, object]]:
    """One row per client and number of requests in flight; a level that does not end within a minute says so."""
    words = ("--models", f"{MODEL}:4", "--loaded", MODEL, "--parallel", "1024", "--tokens-per-s", "0", "--first-token-s", "0")
    with stage.studios(1, *words) as urls:
        return against(urls[0], MODEL, (OURS, THEIRS), LEVELS, REQUESTS, LIMIT_S)


def against(url: str, model: str, ways: Sequence[Way], levels: Sequence[int], requests: int, limit_s: float) -> list[dict[str, object]]:
    """One row per way and number of requests in flight: `requests` of them at a server that runs, or what got through in `limit_s`."""
    endpoint = Endpoint(url=url, dialect="lmstudio-v1")
    return [asyncio.run(_level(way, endpoint, model, level, requests, limit_s)) for level in levels for way in ways]


async def _level(way: Way, endpoint: Endpoint, model: str, level: int, requests: int, limit_s: float) -> dict[str, object]:
    left = iter(range(requests))
    done = 0

    async def work(pool: httpx.AsyncClient) -> None:
        nonlocal done
        for _ in left:
            answered = await way.ask(pool, endpoint, model)
            done += answered

    begun, cpu = time.monotonic(), time.process_time()
    async with way.connections() as pool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*(work(pool) for _ in range(level)))
        seconds, spent = time.monotonic() - begun, time.process_time() - cpu
    return {
        "client": way.name,
        "in_flight": level,
        "requests_per_s": round(done / seconds),
        "failed": requests - done,
        "cpu_ms_per_request": round(spent / max(1, done) * 1000, 2),
    }
