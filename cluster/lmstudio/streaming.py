"""From the bytes of a stream to the pieces of an answer, under the time limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from cluster.lmstudio.answer import Answer
from cluster.lmstudio.dialects import Heard
from cluster.lmstudio.errors import Dropped
from cluster.lmstudio.values import Delta
from cluster.lmstudio.watch import END_S, Watch


async def deltas(chunks: AsyncIterator[bytes], answer: Answer, watch: Watch, reader: Heard) -> AsyncGenerator[Delta, None]:
    """The pieces, as they come. `chunks` raises Dropped when its connection ends early.

    Raises the error the stream reports, WrongModel before any piece, Dropped, and the `Slow` of the limit that passed. Whether
    the answer is whole is for `answer.outcome` to say.
    """
    while True:
        chunk = await _next(chunks, answer, watch)
        for value in reader.close() if chunk is None else reader.feed(chunk):
            if delta := answer.take(value):
                watch.token(_time())
                yield delta
                watch.token(_time())
        if answer.finish_reason:
            watch.finish(_time())
        if chunk is None or reader.done:
            break
    if watch.finished is not None:
        watch.finish(_time(), END_S)
        # Reading to the very end gives the connection back to the pool instead of closing it.
        while await _next(chunks, answer, watch) is not None:
            continue
    elif reader.body and (delta := answer.body(reader.body)):
        watch.token(_time())
        yield delta


async def _next(chunks: AsyncIterator[bytes], answer: Answer, watch: Watch) -> bytes | None:
    """The next bytes, None at the end. Once an answer is complete, silence and a cut are ends like any other."""
    try:
        async with asyncio.timeout_at(watch.deadline()):
            return await anext(chunks, None)
    except TimeoutError as exc:
        if watch.finished is not None:
            return None
        raise watch.verdict(_time()) from exc
    except Dropped as exc:
        if watch.finished is not None:
            return None
        exc.started = answer.started
        raise


def _time() -> float:
    return asyncio.get_running_loop().time()
