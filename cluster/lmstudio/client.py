"""The client of a model server: every dialect's verbs over one `httpx.AsyncClient`. Only this module knows httpx.

Every method raises a `PeerError` that knows its server, and nothing else; nothing is remembered between calls. A connection that
drops before any byte of a response, as one does that the server had just closed, is tried once more, but for a load never.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import lru_cache
from typing import TypeVar

import httpx

from cluster.lmstudio import errors, openai
from cluster.lmstudio.answer import Answer
from cluster.lmstudio.classification import classify
from cluster.lmstudio.conversing import LIMITS, Conversing
from cluster.lmstudio.errors import Dropped, PeerError
from cluster.lmstudio.streaming import Giving, Texts, Values, pieces
from cluster.lmstudio.values import (
    ChatOutcome,
    ChatRequest,
    CompletionRequest,
    Delta,
    Endpoint,
    Timeouts,
)
from cluster.lmstudio.watch import Watch
from cluster.lmstudio.wire import Json, Reply, Request, headers
from swwbot_site.lib import clock

T = TypeVar("T")

LARGEST = 256 * 1024 * 1024
"""Bytes of a reply that is no stream: 2048 vectors of 4096 numbers fit into it."""


class Client(Conversing):
    """Speaks to any number of servers. `http` comes from `swwbot_site.lib.http.client()` and is closed by who made it.

    An endpoint without a dialect is detected first, at each call: detect once and keep the answer.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def chat(
        self,
        endpoint: Endpoint,
        request: ChatRequest,
        timeouts: Timeouts = LIMITS,
        *,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> ChatOutcome:
        """A whole answer; `on_delta` hears each piece. Streams inside, so that a stuck server is noticed and a cancel heard."""
        async with aclosing(self.stream(endpoint, request, timeouts)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ChatOutcome):
                    return piece
                if on_delta is not None:
                    on_delta(piece)
        raise AssertionError("a stream ends with its outcome or an error")

    def stream(self, endpoint: Endpoint, request: ChatRequest, timeouts: Timeouts = LIMITS) -> AsyncGenerator[Delta | ChatOutcome, None]:
        """The pieces of an answer, then its outcome. Close it (`aclosing`) to cancel: that closes the connection.

        Raises all of the tree but the errors of loads; `started` on the error tells whether a piece had been handed out.
        """
        return self._asked(endpoint, request, timeouts, Texts())

    def relay(
        self, endpoint: Endpoint, request: ChatRequest | CompletionRequest, timeouts: Timeouts = LIMITS
    ) -> AsyncGenerator[Json | ChatOutcome, None]:
        """The same for whoever passes an answer on: the values of the server's stream with choices or usage, in OpenAI's shape.

        Values before the first with any content (text, reasoning, a call, a refusal) come together with it, so that nothing has been
        handed out when the error says that it had not `started`. An answer without any content comes when it is whole.
        """
        return self._asked(endpoint, request, timeouts, Values())

    async def _asked(
        self, endpoint: Endpoint, request: ChatRequest | CompletionRequest, timeouts: Timeouts, giving: Giving[T]
    ) -> AsyncGenerator[T | ChatOutcome, None]:
        """What `giving` makes of an answer as it comes, then its outcome."""
        manner = await self._manner(endpoint, timeouts)
        watch = Watch(limits=timeouts, begun=_time())
        answer = Answer(wanted=request.wanted, known=manner.answers, n=openai.choices(request), acts=giving.acts)
        try:
            response = await self._opened(endpoint, manner.places(request), watch)
            async with aclosing(response), aclosing(pieces(_chunks(response), answer, watch, manner.reader(), giving)) as found:
                async for piece in found:
                    yield piece
            outcome = answer.outcome(first_token_s=watch.first_token_s, total_s=watch.total_s(_time()))
        except PeerError as exc:
            exc.started = exc.started or answer.started
            exc.at(endpoint.where, endpoint.token)
            raise
        for piece in giving.rest():
            yield piece
        yield outcome

    async def _exchange(self, endpoint: Endpoint, request: Request, *, timeouts: Timeouts) -> Reply:
        """One request and its whole reply."""
        return await _read(await self._sent(endpoint, request, timeouts), request)

    async def _opened(self, endpoint: Endpoint, places: Sequence[Request], watch: Watch) -> httpx.Response:
        """The open stream of the first place that exists. Raises what a reply without a stream says."""
        try:
            async with asyncio.timeout_at(watch.deadline()):
                for place in places[:-1]:
                    with suppress(errors.CapabilityMissing):
                        return await self._streaming(endpoint, place, watch.limits)
                return await self._streaming(endpoint, places[-1], watch.limits)
        except TimeoutError as exc:
            raise watch.verdict(_time()) from exc

    async def _streaming(self, endpoint: Endpoint, request: Request, timeouts: Timeouts) -> httpx.Response:
        response = await self._sent(endpoint, request, timeouts)
        if response.status_code == 200 and "application/json" not in response.headers.get("content-type", ""):
            return response
        reply = await _read(response, request)
        error = _error(reply)
        if isinstance(error, errors.UnknownKey) and (pared := openai.pared(request, error.keys)):
            return await self._streaming(endpoint, pared, timeouts)
        if error:
            raise error
        return httpx.Response(reply.status, content=reply.body)

    async def _sent(self, endpoint: Endpoint, request: Request, timeouts: Timeouts) -> httpx.Response:
        """The response's head. One more try when the connection was dropped before it, unless the request is to be sent once."""
        try:
            return await self._send(endpoint, request, timeouts)
        except Dropped:
            if request.once:
                raise
        return await self._send(endpoint, request, timeouts)

    async def _send(self, endpoint: Endpoint, request: Request, timeouts: Timeouts) -> httpx.Response:
        limits = {"timeout": {"connect": timeouts.connect_s, "pool": timeouts.connect_s}}
        try:
            where, sent = _address(endpoint, request.path), _head(endpoint.token)
            ready = httpx.Request(request.method, where, headers=sent, content=request.encoded() or None, extensions=limits)
            return await self._http.send(ready, stream=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
            raise errors.Misconfigured(f"{endpoint.where!r} is not the address of a server ({_said(exc)})") from exc
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise errors.Unreachable(f"cannot connect ({_said(exc)})") from exc
        except httpx.RequestError as exc:
            raise Dropped(f"the connection ended before a reply to {request.method} {request.path} ({_said(exc)})") from exc


async def _read(response: httpx.Response, request: Request) -> Reply:
    """The whole reply; closes the response. Raises Malformed for one that has no end."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST:
                raise errors.Malformed(f"the reply to {request.method} {request.path} has more than {LARGEST} bytes")
    except httpx.RequestError as exc:
        raise Dropped(f"the reply to {request.method} {request.path} broke off ({_said(exc)})") from exc
    finally:
        await response.aclose()
    named = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=named, body=bytes(body))


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The bytes as they come; straight from the connection where they are not packed, for an answer has thousands of pieces."""
    straight = not response.is_closed and "content-encoding" not in response.headers
    try:
        async for chunk in _straight(response) if straight else response.aiter_bytes():
            yield chunk
    except httpx.RequestError as exc:
        raise Dropped(f"the connection ended in the middle of the answer ({_said(exc)})") from exc


def _straight(response: httpx.Response) -> httpx.AsyncByteStream:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


@lru_cache(maxsize=1024)
def _address(endpoint: Endpoint, path: str) -> httpx.URL:
    """Reading an address takes longer than all the rest of making a request."""
    return httpx.URL(endpoint.at(path))


@lru_cache(maxsize=1024)
def _head(token: str) -> httpx.Headers:
    return httpx.Headers(headers(token))


def _error(reply: Reply) -> PeerError | None:
    return classify(reply.status, reply.body, reply.headers, now=clock.now())


def _said(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def _time() -> float:
    return asyncio.get_running_loop().time()
