"""Holding a conversation: whatever it asks is sent, whatever comes back is told to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.wire import Conversation, Pause, Reply, Request

T = TypeVar("T")

_NOTHING = Reply(status=0)


async def hold(conversation: Conversation[T], send: Callable[[Request], Awaitable[Reply]]) -> T:
    """The conversation's result. `send` raises PeerError when no reply comes; the conversation may live with that or raise it."""
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


async def _answered(ask: Request | Pause, send: Callable[[Request], Awaitable[Reply]]) -> Reply:
    if isinstance(ask, Pause):
        await asyncio.sleep(ask.seconds)
        return _NOTHING
    return await send(ask)


def _thrown(conversation: Conversation[T], exc: PeerError) -> Callable[[], Request | Pause]:
    return lambda: conversation.throw(exc)


def _sent(conversation: Conversation[T], reply: Reply) -> Callable[[], Request | Pause]:
    return lambda: conversation.send(reply)
