"""The client of a model server: every dialect's verbs over one `httpx.AsyncClient`. Only this module knows httpx.

Every method raises a `PeerError` that knows its server, and nothing else; nothing is remembered between calls. A connection that
drops before any byte of a response, as one does that the server had just closed, is tried once more, but for a load never.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import httpx

from cluster.lmstudio import detection, errors, openai
from cluster.lmstudio.answer import Answer
from cluster.lmstudio.classification import classify
from cluster.lmstudio.conversing import hold
from cluster.lmstudio.dialects import MANNERS, Manner, ping
from cluster.lmstudio.errors import Dropped, PeerError
from cluster.lmstudio.streaming import deltas
from cluster.lmstudio.values import (
    JIT_TTL_S,
    ChatOutcome,
    ChatRequest,
    Delta,
    Detected,
    Dialect,
    EmbeddingResult,
    Endpoint,
    Listing,
    LoadResult,
    Timeouts,
)
from cluster.lmstudio.watch import Watch
from cluster.lmstudio.wire import Conversation, Reply, Request, headers
from swwbot_site.lib import clock

T = TypeVar("T")

_HICCUP_S = 0.2
_LIMITS = Timeouts()


class Client:
    """Speaks to any number of servers. `http` comes from `swwbot_site.lib.http.client()` and is closed by who made it.

    An endpoint without a dialect is detected first, at each call: detect once and keep the answer.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def detect(self, endpoint: Endpoint, timeouts: Timeouts = _LIMITS) -> Detected:
        """Asks the server what it is; `endpoint.dialect` is not looked at."""
        return await self._run(detection.detect(), endpoint, timeouts)

    async def list(self, endpoint: Endpoint, timeouts: Timeouts = _LIMITS) -> Listing:
        """All models the server has, and which are in memory."""
        return await self._run((await self._manner(endpoint, timeouts)).speech.listing(), endpoint, timeouts)

    async def ping(self, endpoint: Endpoint, timeouts: Timeouts = _LIMITS) -> float:
        """Seconds that the cheapest question took; raises like any list."""
        begun = _time()
        await self._run(ping(endpoint.dialect), endpoint, timeouts)
        return _time() - begun

    async def load(
        self,
        endpoint: Endpoint,
        model_key: str,
        *,
        context_length: int | None = None,
        kind: str = "llm",
        ttl_s: int = JIT_TTL_S,
        timeouts: Timeouts = _LIMITS,
    ) -> LoadResult:
        """Loads a model and returns when it is in memory. `kind` and `ttl_s` matter only where a request does the load (v0).

        Raises LoadTimeout when that takes too long, and Dropped when the connection ends: it may still be loading, look at the list.
        Raises the errors of loads, ModelMissing, Busy, and CapabilityMissing where the server speaks another dialect.
        """
        manner, begun = await self._manner(endpoint, timeouts), _time()
        conversation = manner.speech.load(model_key, context_length, kind, ttl_s)
        result = await self._run(conversation, endpoint, timeouts, timeouts.load_s, errors.LoadTimeout)
        return replace(result, seconds=result.seconds or _time() - begun)

    async def unload(self, endpoint: Endpoint, instance_id: str, *, model_key: str, timeouts: Timeouts = _LIMITS) -> None:
        """Takes an instance out of memory; whatever it is answering dies. That it is not there is a success.

        Raises CapabilityMissing where the dialect cannot (v0, and servers whose models are always there).
        """
        await self._run((await self._manner(endpoint, timeouts)).speech.unload(instance_id, model_key), endpoint, timeouts)

    async def chat(
        self,
        endpoint: Endpoint,
        request: ChatRequest,
        timeouts: Timeouts = _LIMITS,
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

    async def stream(
        self, endpoint: Endpoint, request: ChatRequest, timeouts: Timeouts = _LIMITS
    ) -> AsyncGenerator[Delta | ChatOutcome, None]:
        """The pieces of an answer, then its outcome. Close it (`aclosing`) to cancel: that closes the connection.

        Raises all of the tree but the errors of loads; `started` on the error tells whether a piece had been handed out.
        """
        manner = await self._manner(endpoint, timeouts)
        watch, answer = Watch(limits=timeouts, begun=_time()), Answer(wanted=request.wanted, known=manner.answers)
        try:
            response = await self._opened(endpoint, manner.speech.chats(request), watch)
            async with aclosing(response), aclosing(deltas(_chunks(response), answer, watch, manner.reader())) as pieces:
                async for delta in pieces:
                    yield delta
            outcome = answer.outcome(first_token_s=watch.first_token_s, total_s=watch.total_s(_time()))
        except PeerError as exc:
            exc.at(endpoint.where, endpoint.token)
            raise
        yield outcome

    async def embeddings(
        self,
        endpoint: Endpoint,
        model: str,
        inputs: Sequence[str],
        *,
        names: tuple[str, ...] = (),
        timeouts: Timeouts = _LIMITS,
    ) -> EmbeddingResult:
        """One vector per input. `names` are further names that may answer, as in a chat."""
        conversation = openai.embedding(model, inputs, (model, *names))
        return await self._run(conversation, endpoint, timeouts, timeouts.total_s, errors.TotalTimeout)

    async def _manner(self, endpoint: Endpoint, timeouts: Timeouts) -> Manner:
        return MANNERS[Dialect(endpoint.dialect) if endpoint.dialect else (await self.detect(endpoint, timeouts)).dialect]

    async def _run(
        self,
        conversation: Conversation[T],
        endpoint: Endpoint,
        timeouts: Timeouts,
        limit_s: float | None = None,
        slow: type[errors.Slow] = errors.ProbeTimeout,
    ) -> T:
        """Holds a conversation with a server within a limit, by default the probe's."""
        limit_s = timeouts.probe_s if limit_s is None else limit_s
        try:
            async with asyncio.timeout(limit_s):
                return await hold(conversation, partial(self._exchange, endpoint, timeouts=timeouts))
        except TimeoutError as exc:
            raise slow(f"no answer within {limit_s:g} s", where=endpoint.where, limit_s=limit_s) from exc
        except PeerError as exc:
            exc.at(endpoint.where, endpoint.token)
            raise

    async def _exchange(self, endpoint: Endpoint, request: Request, *, timeouts: Timeouts) -> Reply:
        """One request and its whole reply; a list that hiccups is asked for once more."""
        reply = await _read(await self._sent(endpoint, request, timeouts), request)
        if request.method == "GET" and isinstance(_error(reply), errors.Hiccup):
            await asyncio.sleep(_HICCUP_S)
            reply = await _read(await self._sent(endpoint, request, timeouts), request)
        return reply

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
        error = _error(await _read(response, request))
        if isinstance(error, errors.UnknownKey) and (pared := openai.pared(request, error.keys)):
            return await self._streaming(endpoint, pared, timeouts)
        if error:
            raise error
        return response

    async def _sent(self, endpoint: Endpoint, request: Request, timeouts: Timeouts) -> httpx.Response:
        """The response's head. One more try when the connection was dropped before it, unless the request is to be sent once."""
        try:
            return await self._send(endpoint, request, timeouts)
        except Dropped:
            if request.once:
                raise
        return await self._send(endpoint, request, timeouts)

    async def _send(self, endpoint: Endpoint, request: Request, timeouts: Timeouts) -> httpx.Response:
        limits = httpx.Timeout(None, connect=timeouts.connect_s, pool=timeouts.connect_s)
        url, sent = endpoint.at(request.path), headers(endpoint.token)
        try:
            ready = self._http.build_request(request.method, url, headers=sent, content=request.encoded() or None, timeout=limits)
            return await self._http.send(ready, stream=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
            raise errors.Misconfigured(f"{endpoint.where!r} is not the address of a server ({_said(exc)})") from exc
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise errors.Unreachable(f"cannot connect ({_said(exc)})") from exc
        except httpx.RequestError as exc:
            raise Dropped(f"the connection ended before a reply to {request.method} {request.path} ({_said(exc)})") from exc


async def _read(response: httpx.Response, request: Request) -> Reply:
    """The whole reply; closes the response."""
    try:
        body = await response.aread()
    except httpx.RequestError as exc:
        raise Dropped(f"the reply to {request.method} {request.path} broke off ({_said(exc)})") from exc
    finally:
        await response.aclose()
    named = {name.lower(): value for name, value in response.headers.items()}
    return Reply(status=response.status_code, headers=named, body=body)


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except httpx.RequestError as exc:
        raise Dropped(f"the connection ended in the middle of the answer ({_said(exc)})") from exc


def _error(reply: Reply) -> PeerError | None:
    return classify(reply.status, reply.body, reply.headers, now=clock.now())


def _said(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def _time() -> float:
    return asyncio.get_running_loop().time()
