"""OpenAI's API in front of the cluster: `/v1/models`, `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`.

It stands before Django in the same server: these requests are many, and need none of what Django does for a page. What is asked goes the
way of every other request: the same seats, memory, fairness, failover and rows (`cluster.relay`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import structlog
from django.conf import settings

from cluster.lmstudio.values import ChatOutcome, ChatRequest, CompletionRequest, EmbeddingResult
from cluster.logic.order import Ticket
from cluster.logic.relaying import Full, Seated, Stopping, Unanswered, Waits
from cluster.relay import Embedding, Wanted
from swwbot_site.gateway import answering, judging, shapes, wishes
from swwbot_site.gateway.answering import Stream
from swwbot_site.gateway.faults import Unfit, told
from swwbot_site.gateway.hearing import Gone, Receive, body, header, hosted
from swwbot_site.gateway.judging import Refused
from swwbot_site.gateway.keys import Key, Keys, Model
from swwbot_site.gateway.process import Process, here
from swwbot_site.gateway.wishes import Kind, Wish
from swwbot_site.lib.errors import BotError

log = structlog.get_logger(__name__)

PREFIX: Final = "/v1/"
MODELS: Final = "/v1/models"

KINDS: Final = {kind.path: kind for kind in Kind}

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The ASGI application for every path that begins with `PREFIX`."""
    try:
        await _routed(scope, receive, send)
    except Gone:
        return
    except (BotError, Full, Stopping, Unanswered) as fault:
        await _refuse(send, fault)
    except Exception as fault:  # the outermost guard: its client gets an answer whatever happens
        log.exception("gateway.failed", path=scope["path"])
        await _refuse(send, fault)


async def _refuse(send: Send, fault: Exception) -> None:
    status, body, headers = told(fault)
    await answering.whole(send, status, body, headers)


async def _routed(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    hosted(scope)
    path, method = str(scope["path"]).rstrip("/"), scope["method"]
    kind = KINDS.get(path)
    allowed = "POST" if kind else "GET"
    if kind is None and path != MODELS and not path.startswith(f"{MODELS}/"):
        places = ", ".join((MODELS, *KINDS))
        raise Refused(404, f"There is no {path} here; there are {places}.", code="unknown_url")
    if method != allowed:
        text = f"{path} is asked with {allowed}, not with {method}."
        raise Unfit(405, text, "method_not_allowed", (b"allow", allowed.encode()))
    if settings.SECURE_SSL_REDIRECT and header(scope, b"x-forwarded-proto", str(scope["scheme"]).encode()) != b"https":
        raise Refused(403, "Ask with https: a token does not travel in the open.", code="https_required")
    process = here()
    keys = process.keys
    key = await keys.key(header(scope, b"authorization"))
    if kind:
        await _ask(kind, process, keys, key, scope, receive, send)
    else:
        await _list(path.removeprefix(MODELS).removeprefix("/"), keys, key, send)


async def _list(name: str, keys: Keys, key: Key, send: Send) -> None:
    if name:
        model = await keys.model(judging.model(name), key)
        await answering.whole(send, 200, shapes.model(model.key), [])
        return
    rows = [shapes.model(model.key) for model in await keys.models(key)]
    await answering.whole(send, 200, shapes.models(rows), [])


async def _ask(kind: Kind, process: Process, keys: Keys, key: Key, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    arrived = time.monotonic()
    wish = wishes.read(kind, await body(scope, receive))
    model = await keys.model(wish.model, key)
    await process.ready()
    key.enter(arrived)
    try:
        await _while_there(_answer(wish, model, process, key, send, arrived), receive)
    finally:
        key.flying -= 1


async def _while_there(work: Awaitable[None], receive: Receive) -> None:
    """Do the work, but not longer than its client is there. Raises Gone."""
    me = asyncio.current_task()
    assert me is not None
    working = True

    def leave(gone: asyncio.Task[None]) -> None:
        if working and not gone.cancelled():
            me.cancel()

    gone = asyncio.get_running_loop().create_task(_gone(receive))
    gone.add_done_callback(leave)
    try:
        await work
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled():
            me.uncancel()
            raise Gone from None
        raise
    finally:
        working = False
        gone.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _answer(wish: Wish, model: Model, process: Process, key: Key, send: Send, arrived: float) -> None:
    wanted = Wanted(
        model_id=model.id,
        model=model.key,
        caller=key.caller,
        priority=key.token.priority,
        document=wish,
        request=partial(_request, wish),
    )
    async with aclosing(process.relay.ask(wanted)) as pieces:
        if wish.stream:
            await _streamed(wish, model, pieces, send, arrived)
        else:
            await _whole(wish, model, pieces, send, arrived)


async def _streamed(wish: Wish, model: Model, pieces: Any, send: Send, arrived: float) -> None:
    stream = Stream(send)
    chunks: shapes.Chunks | None = None
    try:
        async for piece in pieces:
            if isinstance(piece, dict):
                assert chunks is not None
                if (chunk := chunks.chunk(piece)) is not None:
                    await stream.piece(chunk)
            elif isinstance(piece, Seated):
                chunks = shapes.Chunks(_id(wish, piece.id), model.key, int(time.time()), wish.kind, wish.usage)
                await stream.seated(answering.marks(piece, time.monotonic() - arrived))
            elif isinstance(piece, Waits):
                await stream.waits(piece.text)
        await stream.end()
    except asyncio.CancelledError:
        if not stream.stuck:
            raise
        raise Gone from None
    except (Full, Stopping, Unanswered, BotError) as fault:
        await stream.fail(fault)
    except Exception as fault:  # whatever it is, its client gets an end of its stream
        log.exception("gateway.stream_failed")
        await stream.fail(fault)
    finally:
        stream.close()


async def _whole(wish: Wish, model: Model, pieces: Any, send: Send, arrived: float) -> None:
    seated = Seated(id=0, server="", wait_s=0.0)
    answer: shapes.Whole | None = None
    value: dict[str, object] = {}
    took_s, asked = 0.0, arrived
    async for piece in pieces:
        if isinstance(piece, dict):
            assert answer is not None
            answer.take(piece)
        elif isinstance(piece, Seated):
            seated, asked = piece, time.monotonic()
            answer = shapes.Whole(_id(wish, piece.id), model.key, int(time.time()), wish.kind)
        elif isinstance(piece, ChatOutcome):
            took_s = time.monotonic() - asked
            assert answer is not None
            value = answer.completion()
        elif isinstance(piece, EmbeddingResult):
            took_s = time.monotonic() - asked
            value = shapes.embeddings(piece.vectors, model.key, piece.prompt_tokens, base64=wish.base64)
    marked = answering.marks(seated, time.monotonic() - arrived - took_s)
    await answering.whole(send, 200, value, answering.headers(marked))


def _request(wish: Wish, ticket: Ticket) -> ChatRequest | CompletionRequest | Embedding:
    """What the model's server is asked; the instance is named, so that the right copy of the model answers."""
    name = ticket.instance_id or ticket.names[0]
    if wish.kind is Kind.EMBEDDING:
        return Embedding(inputs=wish.inputs, fields=wish.fields)
    if wish.kind is Kind.COMPLETION:
        return CompletionRequest(
            model=name,
            names=ticket.names,
            prompt=wish.prompt,
            fields=wish.fields,
            max_tokens=wish.max_tokens,
            stop=wish.stop,
            context_length=ticket.context_length,
        )
    return ChatRequest(
        model=name,
        names=ticket.names,
        messages=wish.messages,
        sampling=wish.fields,
        max_tokens=wish.max_tokens,
        stop=wish.stop,
        context_length=ticket.context_length,
    )


def _id(wish: Wish, number: int) -> str:
    return f"{'chatcmpl' if wish.kind is Kind.CHAT else 'cmpl'}-sww{number}"
