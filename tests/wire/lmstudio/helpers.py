"""What the tests of the LM Studio peer share."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from cluster.lmstudio.values import ChatRequest, Timeouts

GEMMA = "google/gemma-3-4b"
LLAMA = "meta/llama-3.1-8b"
MISTRAL = "mistralai/mistral-7b"
EMBED = "text-embedding-nomic-embed-text-v1.5"

QUICK = Timeouts(connect_s=20, probe_s=20, load_s=30, first_token_s=30, idle_s=30, total_s=60)


def asked(model: str = GEMMA, said: str = "Anna: do you like penguins?", **more: object) -> ChatRequest:
    """A chat with one message."""
    return ChatRequest(model=model, messages=({"role": "user", "content": said},), **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Returns as soon as the condition holds; fails after the limit."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 (what is waited for is in the emulator and has no event)
            await asyncio.sleep(0.002)


@dataclass
class Script:
    """A bare TCP server that says what it is told, once per connection or request, and remembers what it heard."""

    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    heard: list[bytes] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard.append(await request(reader))
            await self.answer(reader, writer)
        finally:
            writer.close()


async def request(reader: asyncio.StreamReader) -> bytes:
    """One request: head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return head + (await reader.readexactly(int(lengths[0])) if lengths else b"")


def saying(raw: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Writes these bytes and hangs up."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


def plain(body: object, status: str = "200 OK", kind: str = "application/json", **headers: str) -> bytes:
    """A whole HTTP reply."""
    content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def chunk(content: str | None = None, *, finish: str | None = None, model: str = GEMMA, **more: object) -> str:
    """One JSON value of a stream."""
    delta = {} if content is None else {"content": content}
    return json.dumps({"model": model, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})
