"""Requests a second through our HTTP client and through httpx's own pool, against one emulated server, in one run."""

import asyncio
import time
from collections.abc import Callable

import httpx

from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.values import ChatRequest, Endpoint, Timeouts
from swwbot_site.bench import stage
from swwbot_site.lib import http

LEVELS = (8, 64, 256)
REQUESTS = 2000
LIMIT_S = 60.0


def run() -> list[dict[str, object]]:
    """One row per client and number of requests in flight; a level that does not end within a minute says so."""
    makers: dict[str, Callable[[], httpx.AsyncClient]] = {
        "aiohttp transport (ours)": http.client,
        "httpx's own pool": lambda: httpx.AsyncClient(limits=httpx.Limits(max_connections=1024), trust_env=False),
    }
    words = ("--models", "bench/model:4", "--loaded", "bench/model", "--parallel", "1024", "--tokens-per-s", "0", "--first-token-s", "0")
    with stage.studios(1, *words) as urls:
        return [asyncio.run(_level(name, make, urls[0], level)) for level in LEVELS for name, make in makers.items()]


async def _level(name: str, make: Callable[[], httpx.AsyncClient], url: str, level: int) -> dict[str, object]:
    endpoint = Endpoint(url=url, dialect="lmstudio-v1")
    request = ChatRequest(model="bench/model", messages=({"role": "user", "content": "Hello"},))
    limits = Timeouts(connect_s=20, total_s=LIMIT_S)
    left = iter(range(REQUESTS))
    done = failed = 0

    async def work(client: Client) -> None:
        nonlocal done, failed
        for _ in left:
            try:
                await client.chat(endpoint, request, limits)
                done += 1
            except PeerError:
                failed += 1

    begun, cpu = time.monotonic(), time.process_time()
    async with make() as pool:
        client = Client(pool)
        try:
            async with asyncio.timeout(LIMIT_S):
                await asyncio.gather(*(work(client) for _ in range(level)))
        except TimeoutError:
            failed = REQUESTS - done
    seconds = time.monotonic() - begun
    each = (time.process_time() - cpu) / max(1, done) * 1000
    return {
        "client": name,
        "in_flight": level,
        "requests_per_s": round(done / seconds),
        "failed": failed,
        "cpu_ms_per_request": round(each, 2),
    }
