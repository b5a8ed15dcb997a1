"""The one HTTP client of a process: the httpx API over aiohttp's connections.

httpx's own pool collapses with hundreds of requests in flight; aiohttp's does not (measure it: `manage.py bench http`).
Connections that idle are dropped after `KEEPALIVE_S`, before the peers close them: LM Studio and the message backend both
hang up after 5 s, and a poll every 5 s would always meet a dying socket.
"""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from swwbot_site.lib import networks
from swwbot_site.lib.errors import BotError

HttpClient = httpx.AsyncClient
"""What a client of a peer is built on."""

KEEPALIVE_S = 4.0
"""Seconds an idle connection is kept; the peers close theirs at 5."""

CONNECTIONS = 1024
"""Open connections of one process, over all peers."""

LARGEST = 32 * 1024 * 1024
"""Bytes of an answer that are read at most, by those who read with `whole`."""

ANSWER = 1000
"""Bytes of a webhook's answer that are kept."""

UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""What the transport verifies with if it opens connections itself, and ours does not: aiohttp's sessions have their own. Trusts nobody.

Without it every client would read the list of authorities for nothing, which takes 30 ms."""


class Transport(AiohttpTransport):
    """aiohttp's connections, with its failures told in httpx's words.

    A connection that dies becomes `httpx.ReadError` (the library calls it a connect time-out), so that callers can tell "never
    arrived" (`ConnectError`, `ConnectTimeout`) from "cut in the middle" (`ReadError`).
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await super().handle_async_request(request)
        except httpx.TransportError as exc:
            raise _renamed(exc) from exc.__cause__
        except aiohttp.ClientError as exc:  # what is no HTTP at all has no name in the library's table
            raise httpx.RemoteProtocolError(str(exc) or type(exc).__name__) from exc
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Stream(response.stream)
        return response


class _Stream(httpx.AsyncByteStream):
    """A response body whose failures are renamed like the request's."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except httpx.TransportError as exc:
            raise _renamed(exc) from exc.__cause__
        except aiohttp.ClientError as exc:
            raise httpx.RemoteProtocolError(str(exc)) from exc

    async def aclose(self) -> None:
        await self._inner.aclose()


def _plain(cause: BaseException | None) -> str:
    """What the operating system said of a connection that did not come about, without the library's words; "" where it said nothing.

    Of a name with several addresses the library's text names each: that one stays. So does what we refused ourselves.
    """
    fault = getattr(cause, "os_error", None) if isinstance(cause, aiohttp.ClientConnectorError) else None
    if not isinstance(fault, OSError) or isinstance(fault, (ssl.SSLError, networks.RefusedConnection)) or not fault.strerror:
        return ""
    number = fault.errno or 0
    return (os.strerror(number) if number > 0 else fault.strerror).lower()  # numbers of the resolver are below 0


def _renamed(exc: httpx.TransportError) -> httpx.TransportError:
    cause = exc.__cause__
    text = _plain(cause) or str(exc) or type(cause).__name__
    kinds: tuple[tuple[type[BaseException], Callable[[str], httpx.TransportError]], ...] = (
        (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
        (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
        (aiohttp.ClientConnectorError, httpx.ConnectError),
        (aiohttp.ClientConnectionError, httpx.ReadError),
    )
    for kind, name in kinds:
        if isinstance(cause, kind):
            return name(text)
    return exc


class _Straight(httpx.AsyncClient):
    """A client that hands each request to its connections as it is: no cookies, no redirects, no authentication of its own.

    httpx does all of them for each response, which takes longer than everything else about it.
    """

    def __init__(self, wires: httpx.AsyncBaseTransport) -> None:
        super().__init__(transport=wires, trust_env=False, follow_redirects=False)
        self._wires = wires

    async def send(self, request: httpx.Request, *, stream: bool = False, **wishes: Any) -> httpx.Response:
        """The response; its body is read unless it is a stream. Who wants redirects followed gets all that httpx does."""
        if wishes.get("follow_redirects") is True:
            return await super().send(request, stream=stream, **wishes)
        if self.is_closed:
            raise RuntimeError("The HTTP client is closed.")
        response = await self._wires.handle_async_request(request)
        response.request = request
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response


def client() -> httpx.AsyncClient:
    """A new client for this process and event loop. Make it after a fork, close it with the loop.

    It never follows redirects, and connects only to addresses that `networks` allows.
    """

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60, socket_factory=networks.door)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return _Straight(Transport(client=session, verify=UNUSED))


async def whole(response: httpx.Response) -> bytes:
    """The unpacked body of a response that is a stream, and its end; of one longer than LARGEST a little more than that."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST:
                break
    finally:
        await response.aclose()
    return bytes(body)


class NotTaken(BotError):
    """A webhook did not take a message."""

    code = "webhook-not-taken"


async def post(http: httpx.AsyncClient, url: str, document: Mapping[str, Any], *, timeout_s: float) -> None:
    """POST a JSON document to a webhook; any status of 200 … 299 is a receipt. Raises NotTaken."""
    status, said = await deliver(http, url, json.dumps(document).encode(), {}, timeout_s=timeout_s)
    if not httpx.codes.is_success(status):
        raise NotTaken(f"{urlsplit(url).hostname} answered {status}: {said[:200]}")


async def deliver(http: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> tuple[int, str]:
    """POST the bytes of a JSON document; returns the status and the beginning of the answer, packed as it comes. Raises NotTaken.

    `timeout_s` is for each part; an answer that drips is given up after twice that. Errors name the host alone: the rest of a webhook's
    address may be its secret.
    """
    where = urlsplit(url).hostname
    told = {"Content-Type": "application/json", "Accept-Encoding": "identity", **headers}
    try:
        request = http.build_request("POST", url, content=body, headers=told, timeout=timeout_s)
        async with asyncio.timeout(2 * timeout_s):
            response = await http.send(request, stream=True)
            said = b""
            try:
                async for chunk in response.aiter_raw():
                    said += chunk
                    if len(said) >= ANSWER:
                        break
            finally:
                await response.aclose()
    except TimeoutError as exc:
        raise NotTaken(f"{where} has not answered to the end in {2 * timeout_s:g} s.") from exc
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise NotTaken(f"{where} cannot be reached: {str(exc) or type(exc).__name__}") from exc
    return response.status_code, said[:ANSWER].decode(errors="replace").replace("\0", "")
