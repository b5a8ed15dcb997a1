"""Whatever is asked of a server in conversations: all of it is sent, what comes back is told to it, and in time."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from cluster.lmstudio import detection, errors
from cluster.lmstudio.classification import classify
from cluster.lmstudio.dialects import MANNERS, Manner, ping
from cluster.lmstudio.errors import Hiccup, PeerError, ProbeTimeout, Slow
from cluster.lmstudio.values import JIT_TTL_S, Detected, Dialect, EmbeddingResult, Endpoint, Listing, LoadResult, Timeouts
from cluster.lmstudio.wire import Conversation, Json, Pause, Reply, Request

LIMITS = Timeouts()
T = TypeVar("T")
Send = Callable[[Request], Awaitable[Reply]]

_NONE: Json = MappingProxyType({})
_NOTHING = Reply(status=0)
_HICCUP_S = 0.2


class Conversing(ABC):
    """The verbs of a client that need whole replies only. An endpoint without a dialect is detected first, at each call."""

    @abstractmethod
    async def _exchange(self, endpoint: Endpoint, request: Request, *, timeouts: Timeouts) -> Reply:
        """One request and its whole reply."""

    async def detect(self, endpoint: Endpoint, timeouts: Timeouts = LIMITS) -> Detected:
        """Asks the server what it is; `endpoint.dialect` is not looked at."""
        return await self._run(detection.detect(), endpoint, timeouts)

    async def list(self, endpoint: Endpoint, timeouts: Timeouts = LIMITS) -> Listing:
        """All models the server has, and which are in memory."""
        return await self._run((await self._manner(endpoint, timeouts)).speech.listing(), endpoint, timeouts)

    async def ping(self, endpoint: Endpoint, timeouts: Timeouts = LIMITS) -> float:
        """Seconds that the cheapest question took; raises like any list."""
        begun = _now()
        await self._run(ping(endpoint.dialect), endpoint, timeouts)
        return _now() - begun

    async def load(
        self,
        endpoint: Endpoint,
        model_key: str,
        *,
        context_length: int | None = None,
        kind: str = "llm",
        ttl_s: int = JIT_TTL_S,
        timeouts: Timeouts = LIMITS,
    ) -> LoadResult:
        """Loads a model and returns when it is in memory. `kind` and `ttl_s` matter only where a request does the load (v0).

        Raises LoadTimeout when that takes too long, and Dropped when the connection ends: it may still be loading, look at the list.
        Raises the errors of loads, ModelMissing, Busy, and CapabilityMissing where the server speaks another dialect.
        """
        manner, begun = await self._manner(endpoint, timeouts), _now()
        conversation = manner.speech.load(model_key, context_length, kind, ttl_s)
        result = await self._run(conversation, endpoint, timeouts, timeouts.load_s, errors.LoadTimeout)
        return replace(result, seconds=result.seconds or _now() - begun)

    async def unload(self, endpoint: Endpoint, instance_id: str, *, model_key: str, timeouts: Timeouts = LIMITS) -> None:
        """Takes an instance out of memory; whatever it is answering dies. That it is not there is a success.

        Raises CapabilityMissing where the dialect cannot (v0, and servers whose models are always there).
        """
        await self._run((await self._manner(endpoint, timeouts)).speech.unload(instance_id, model_key), endpoint, timeouts)

    async def embeddings(
        self,
        endpoint: Endpoint,
        model: str,
        inputs: Sequence[str],
        *,
        names: tuple[str, ...] = (),
        fields: Json = _NONE,
        context_length: int | None = None,
        timeouts: Timeouts = LIMITS,
    ) -> EmbeddingResult:
        """One vector per input. `names` and `context_length` are those of a chat; `fields` are sent as they are. Raises WrongModel."""
        manner = await self._manner(endpoint, timeouts)
        conversation = manner.speech.vectors(model, inputs, context_length, fields)
        result = await self._run(conversation, endpoint, timeouts, timeouts.total_s, errors.TotalTimeout)
        if result.model and not manner.answers(result.model, (model, *names)):
            raise errors.WrongModel(f"{result.model} answered where {model} was asked", got=result.model).at(endpoint.where)
        return result

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
        send = partial(self._exchange, endpoint, timeouts=timeouts)
        return await hold(conversation, send, endpoint, timeouts.probe_s if limit_s is None else limit_s, slow)


async def hold(conversation: Conversation[T], send: Send, endpoint: Endpoint, limit_s: float, slow: type[Slow]) -> T:
    """The conversation's result. Raises `slow` when it takes longer than the limit, and otherwise what the server says to it.

    `send` raises PeerError when no reply comes; the conversation may live with that or raise it.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await _held(conversation, send)
    except TimeoutError as exc:
        raise slow(f"no answer within {limit_s:g} s", where=endpoint.where, limit_s=limit_s) from exc
    except PeerError as exc:
        exc.at(endpoint.where, endpoint.token)
        raise


async def _held(conversation: Conversation[T], send: Send) -> T:
    step = conversation.__next__
    while True:
        try:
            ask = step()
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            reply = await _answered(ask, send)
        except PeerError as exc:
            step = _thrown(conversation, exc)
        else:
            step = _sent(conversation, reply)


async def _answered(ask: Request | Pause, send: Send) -> Reply:
    """The reply; a list that hiccups is asked for once more."""
    if isinstance(ask, Pause):
        await asyncio.sleep(ask.seconds)
        return _NOTHING
    try:
        async with asyncio.timeout(ask.within_s):
            return await _patiently(ask, send)
    except TimeoutError as exc:
        raise ProbeTimeout(f"no answer to {ask.method} {ask.path} within {ask.within_s:g} s", limit_s=ask.within_s or 0.0) from exc


async def _patiently(ask: Request, send: Send) -> Reply:
    reply = await send(ask)
    if ask.method == "GET" and reply.status >= 500 and isinstance(classify(reply.status, reply.body), Hiccup):
        await asyncio.sleep(_HICCUP_S)
        reply = await send(ask)
    return reply


def _thrown(conversation: Conversation[T], exc: PeerError) -> Callable[[], Request | Pause]:
    return lambda: conversation.throw(exc)


def _sent(conversation: Conversation[T], reply: Reply) -> Callable[[], Request | Pause]:
    return lambda: conversation.send(reply)


def _now() -> float:
    return asyncio.get_running_loop().time()
