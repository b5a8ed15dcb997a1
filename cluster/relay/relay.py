"""One request, from its client's wish to the last piece of its answer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from cluster import lease
from cluster.ask import failed
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.values import ChatOutcome, EmbeddingResult
from cluster.logic.order import Outcome
from cluster.logic.relaying import Full, Seated, Stopping, Unanswered, Waits
from cluster.relay import held
from cluster.relay.flight import Embedding, Flight, Wanted
from cluster.relay.seating import SOON_S, Seating
from cluster.relay.storing import Storing
from swwbot_site.lib import clock
from swwbot_site.lib.errors import Fault, Retry
from swwbot_site.lib.loops import Context

LOOK_S: Final = 0.25
"""How often it is looked what has changed while somebody waits here, beside when somebody rings."""

REST_S: Final = 60.0

MOST_TOKENS: Final = 2**31

Piece = Waits | Seated | Mapping[str, object] | ChatOutcome | EmbeddingResult


class Relay:
    """The requests of the clients of one process; `bell` rings when there is something to do for `turn`."""

    def __init__(self, context: Context) -> None:
        self.bell = asyncio.Event()
        self._context = context
        self._client = Client(context.http)
        self._storing = Storing(context)
        self._seating = Seating(context, self._storing, self.bell)
        context.spawn(self._storing.run(), "store")

    @property
    def busy(self) -> bool:
        """Whether somebody waits, something is asked or not stored yet, or seats are held."""
        return self._seating.busy or self._storing.busy

    async def stored(self) -> None:
        """Wait until nothing is asked any more, and everything is stored."""
        await self._storing.quiet()

    async def ask(self, wanted: Wanted) -> AsyncGenerator[Piece, None]:
        """What comes of a request: once a second how it waits; its seat; the pieces of its answer, and the whole one (of embeddings only
        that). Close it to call the request off.

        Raises Full and Stopping before anything is done, Unanswered when it has failed, and what `queue.submit` raises.
        """
        if self._context.stopping.is_set():
            raise Stopping
        line = self._seating.line(wanted.model_id)
        task = asyncio.current_task()
        assert task is not None
        flight = Flight(wanted=wanted, line=line, task=task, queued_at=clock.now(), began=_time(), got=_future())
        try:
            while not flight.over:
                async for told in self._seat(flight):
                    yield told
                async with aclosing(self._asked(flight)) as pieces:
                    async for piece in pieces:
                        yield piece
        except asyncio.CancelledError:
            if flight.taken is None:
                raise
            flight.task.uncancel()
            raise flight.taken from None
        finally:
            if not flight.over:
                self._call_off(flight)

    async def _seat(self, flight: Flight) -> AsyncGenerator[Waits | Seated, None]:
        """How it waits, until it has its seat. Raises Full, Unanswered."""
        seating = self._seating
        if not flight.row and len(seating.waiting) + seating.elsewhere >= seating.most:
            flight.over = True
            raise Full(_time() - min((one.began for one in seating.waiting), default=_time()))
        if not seating.enter(flight):
            while not (await asyncio.wait((flight.got,), timeout=SOON_S))[0]:
                await seating.queue_up(flight)
                yield Waits(id=flight.pk, text=flight.told)
            seating.withdraw(flight)
        flight.ticket = flight.got.result()
        flight.seated_at = flight.seated_at or clock.now()
        yield Seated(id=flight.pk, server=flight.ticket.server, wait_s=_time() - flight.began)

    async def _asked(self, flight: Flight) -> AsyncGenerator[Piece, None]:
        """Ask; the flight is over then, or waits again. Raises Unanswered."""
        ticket = flight.ticket
        assert ticket is not None
        flight.asked_at, flight.asked = clock.now(), _time()
        self._storing.asking.add(flight)
        began = False
        try:
            request = flight.wanted.request(ticket)
            if isinstance(request, Embedding):
                result = await self._client.embeddings(
                    ticket.endpoint,
                    ticket.instance_id or ticket.names[0],
                    request.inputs,
                    names=ticket.names,
                    fields=request.fields,
                    context_length=ticket.context_length,
                    timeouts=ticket.timeouts,
                )
                self._answered(flight, _counted(result, _time() - flight.asked))
                yield result
                return
            async with aclosing(self._client.relay(ticket.endpoint, request, ticket.timeouts)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, ChatOutcome):
                        self._answered(flight, piece)
                    else:
                        began = True
                    yield piece
        except PeerError as error:
            if not flight.over:
                await self._failed(flight, error, began=began)

    def _answered(self, flight: Flight, answer: ChatOutcome) -> None:
        ticket, asked_at = flight.ticket, flight.asked_at
        assert ticket is not None
        assert asked_at is not None
        ended = asked_at + timedelta(seconds=_time() - flight.asked)
        first = asked_at + timedelta(seconds=answer.first_token_s) if answer.first_token_s is not None else None
        flight.over = True
        self._storing.keep(flight, Outcome(ticket=ticket, asked_at=asked_at, ended_at=ended, first_token_at=first, answer=answer))
        self._seating.leave(flight)

    async def _failed(self, flight: Flight, error: PeerError, *, began: bool) -> None:
        """Store a failure; the request waits again. Raises Unanswered if its client has heard the beginning of an answer, or if it
        would fail everywhere."""
        assert flight.ticket is not None
        assert flight.asked_at is not None
        outcome = failed(flight.ticket, error, flight.asked_at)
        if began and outcome.failure:
            outcome = replace(outcome, failure=replace(outcome.failure, retry=Retry.NEVER.value))
        flight.over = began or error.retry is Retry.NEVER
        stored = _future()
        self._storing.keep(flight, outcome, stored)
        self._seating.leave(flight, lose=error.fault is not Fault.REQUEST)  # what is asked wrongly takes nobody's seat
        if flight.over:
            raise Unanswered(error.code, str(error), flight.pk, began=began)
        await stored
        flight.got, flight.ticket, flight.block, flight.seated_at = _future(), None, None, None

    def _call_off(self, flight: Flight) -> None:
        """Its client went away, or it has ended without us."""
        flight.over = True
        self._seating.withdraw(flight)
        got = flight.got
        if not got.cancel() and got.exception() is None and flight.ticket is None:
            flight.ticket, flight.seated_at = got.result(), flight.seated_at or clock.now()
        if flight.row or flight.ticket:
            self._storing.keep(flight, None)
        self._seating.leave(flight)

    async def turn(self, *, rang: bool = True) -> float:
        """One round of the loop beside the requests; `rang`: somebody says that something has changed. Returns the seconds until the next."""
        if not self.busy:
            self._seating.idle()
            return REST_S
        await self._seating.turn(rang=rang)
        self._storing.late(_time())
        return LOOK_S

    def renew(self, now: datetime) -> None:
        """Rows: the heartbeat of what is asked, not stored yet, and held."""
        lease.renew(self._context.owner, self._storing.numbers(), [], now)

    def forget(self) -> None:
        """The database is away, and others may take us for dead: what was held is held no longer."""
        self._seating.forget()

    def stop(self) -> None:
        """Give back every seat as soon as nobody sits there."""
        self._seating.stop()

    def release(self) -> None:
        """Rows: give back every seat that is held; for the end, when nobody sits there."""
        held.release(self._context.owner)


def _counted(result: EmbeddingResult, total_s: float) -> ChatOutcome:
    """Embeddings as an answer without text. A count that no row takes is none."""
    tokens = result.prompt_tokens if 0 <= (result.prompt_tokens or 0) < MOST_TOKENS else None
    return ChatOutcome(text="", reasoning="", finish_reason="embedding", model=result.model, prompt_tokens=tokens, total_s=total_s)


def _time() -> float:
    return asyncio.get_running_loop().time()


def _future() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()
