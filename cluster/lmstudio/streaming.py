"""From the bytes of a stream to the pieces of an answer, under the time limits; and which of them are handed out when."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from cluster.lmstudio.answer import Answer
from cluster.lmstudio.dialects import Heard
from cluster.lmstudio.errors import Dropped, Malformed
from cluster.lmstudio.values import Delta
from cluster.lmstudio.watch import END_S, Watch
from cluster.lmstudio.wire import Json

LARGEST = 128 * 1024 * 1024
"""Bytes of a stream; a server that sends more has lost itself."""

HELD = 64
"""Values without content that are kept until the first with content; a server that sends more has nothing to say in them."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Giving(Protocol[T_co]):
    """What becomes of the values of a stream. `acts`: it passes on more than text."""

    acts: bool

    def give(self, value: Json, delta: Delta | None, *, started: bool) -> Sequence[T_co]:
        """What is handed out once this value has come."""
        ...

    def rest(self) -> Sequence[T_co]:
        """What is handed out once the whole answer has come and is well."""
        ...


class Texts:
    """Only what was said and thought."""

    acts = False

    def give(self, value: Json, delta: Delta | None, *, started: bool) -> Sequence[Delta]:
        """The piece of text, if there is one."""
        del value, started
        return () if delta is None else (delta,)

    def rest(self) -> Sequence[Delta]:
        """Nothing."""
        return ()


@dataclass(slots=True)
class Values:
    """The values themselves, from the first with content on; what came before it is held back until then.

    So nothing has been handed out when an attempt fails before it has said anything, and another may take its place unseen.
    """

    acts: bool = True
    _held: list[Json] = field(default_factory=list)

    def give(self, value: Json, delta: Delta | None, *, started: bool) -> Sequence[Json]:
        """The value, and what was held back before it; nothing of one without choices and usage."""
        del delta
        if not (value.get("choices") or value.get("usage")):
            return ()
        if not started:
            if len(self._held) < HELD:
                self._held.append(value)
            return ()
        if not self._held:
            return (value,)
        held, self._held = self._held, []
        return (*held, value)

    def rest(self) -> Sequence[Json]:
        """The values of an answer without any content."""
        return self._held


async def pieces(chunks: AsyncIterator[bytes], answer: Answer, watch: Watch, reader: Heard, giving: Giving[T]) -> AsyncGenerator[T, None]:
    """The pieces, as they come. `chunks` raises Dropped when its connection ends early.

    Raises the error the stream reports, WrongModel before any piece, Dropped, and the `Slow` of the limit that passed. Whether
    the answer is whole is for `answer.outcome` to say. Until something was said, only a piece with content is a sign of life: some
    servers tell the answer's role long before they have read the prompt.
    """
    now, patience = asyncio.get_running_loop().time, _Patience(chunks, answer, watch)
    try:
        while True:
            chunk = await patience.next()
            for value in reader.close() if chunk is None else reader.feed(chunk):
                delta = answer.take(value)
                if answer.started:
                    watch.token(now())
                if isinstance(value, dict):
                    for piece in giving.give(value, delta, started=answer.started):
                        yield piece
                        watch.token(now())
            if answer.complete:
                watch.finish(now())
            if chunk is None or reader.done:
                break
        if answer.settled:
            watch.finish(now(), END_S)
            # Reading to the very end gives the connection back to the pool instead of closing it.
            while await patience.next() is not None:
                continue
            return
    finally:
        patience.close()
    if reader.body:
        value = answer.body(reader.body)
        delta = answer.take(value)
        watch.token(now())
        for piece in giving.give(value, delta, started=answer.started):
            yield piece


class _Patience:
    """Waits for bytes until the watch's deadline. One timer serves a whole stream: it looks, when it rings, whether it is due yet."""

    def __init__(self, chunks: AsyncIterator[bytes], answer: Answer, watch: Watch) -> None:
        self._chunks = chunks
        self._answer = answer
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._late = False
        self._left = LARGEST

    async def next(self) -> bytes | None:
        """The next bytes, None at the end. Once an answer is complete, silence and a cut are ends like any other. Raises Malformed for
        a stream without an end."""
        task = self._waiting = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        self._arm()
        try:
            chunk = await anext(self._chunks, None)
        except asyncio.CancelledError:
            if not self._late or task.uncancel() > before:
                raise  # somebody else wants an end of it
            if self._watch.finished is not None:
                return None
            raise self._watch.verdict(self._loop.time()) from None
        except Dropped as exc:
            if self._watch.finished is not None:
                return None
            exc.started = self._answer.started
            raise
        finally:
            self._waiting = None
        self._left -= len(chunk or b"")
        if self._left < 0:
            raise Malformed(f"an answer of more than {LARGEST} bytes")
        return chunk

    def close(self) -> None:
        """No timer is left behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        due = self._watch.deadline()
        if self._timer is not None and due < self._timer.when():
            self.close()
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._watch.deadline():
            self._arm()
        elif not self._late:
            self._late = True
            self._waiting.cancel()
