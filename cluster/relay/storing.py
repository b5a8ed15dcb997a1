"""What came of requests, stored as it comes back, all that is there at once; and what takes long, written down while it is asked."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog
from django.db import transaction

from cluster import finish, queue
from cluster.logic.order import Outcome
from cluster.relay.flight import Flight
from swwbot_site.lib import clock
from swwbot_site.lib.loops import Context
from swwbot_site.lib.wake import Channel, wake

log = structlog.get_logger(__name__)

LONG_S: Final = 0.3
"""A request that is asked for longer is written down while it is asked."""

GATHER_S: Final = 0.05


@dataclass(slots=True, kw_only=True)
class _Back:
    """A request that is asked no longer: what came of it, or None if it was called off; and who waits until that is stored."""

    flight: Flight
    outcome: Outcome | None
    stored: "asyncio.Future[None] | None"


@dataclass(slots=True)
class Storing:
    """The rows of the requests of one process. One thing at a time is written."""

    context: Context
    asking: set[Flight] = field(default_factory=set)
    """What is asked at this moment."""
    _back: list[_Back] = field(default_factory=list)
    _batch: list[_Back] = field(default_factory=list)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def busy(self) -> bool:
        """Whether something is asked, or not stored yet."""
        return bool(self.asking or self._back or self._batch)

    async def quiet(self) -> None:
        """Wait until nothing is asked, and everything is stored."""
        while self.busy:
            self._done.clear()
            await self._done.wait()

    def numbers(self) -> list[int]:
        """Of everything that is asked, or not stored yet, and has a row."""
        flights = (*self.asking, *(one.flight for one in (*self._back, *self._batch)))
        return [flight.pk for flight in flights if flight.row]

    def keep(self, flight: Flight, outcome: Outcome | None, stored: "asyncio.Future[None] | None" = None) -> None:
        """Store what came of a request; without an outcome it was called off. `stored` is set when that is done."""
        self.asking.discard(flight)
        self._back.append(_Back(flight=flight, outcome=outcome, stored=stored))
        self._bell.set()

    def late(self, now: float) -> None:
        """See to it that what is asked for long by now is written down."""
        if any(not flight.row and now - flight.asked > LONG_S for flight in self.asking):
            self._bell.set()

    async def run(self) -> None:
        """Store, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._bell.wait()
            self._bell.clear()
            self._batch, self._back = self._back, []
            late = [flight for flight in self.asking if not flight.row and loop.time() - flight.asked > LONG_S]
            try:
                await self.context.rows(self._write, self._batch, late)
            except Exception:  # one bad row must not end the storing of all others
                log.exception("relay.store_failed", outcomes=len(self._batch))
                await self._one_by_one(late)
            else:
                for flight in (*late, *(one.flight for one in self._batch)):
                    flight.row = True
            for one in self._batch:
                if one.stored and not one.stored.done():
                    one.stored.set_result(None)
            self._batch = []
            self._done.set()
            await asyncio.sleep(GATHER_S)

    async def _one_by_one(self, late: list[Flight]) -> None:
        """Store what can be stored of what failed as a whole."""
        for one in self._batch:
            try:
                await self.context.rows(self._write, [one], [])
            except Exception:  # told, and given up
                log.exception("relay.outcome_lost", generation=one.flight.pk)
            one.flight.row = True
        for flight in late:
            if not flight.row:
                try:
                    await self.context.rows(self._write, [], [flight])
                    flight.row = True
                except Exception:  # told; it is written down when it is back
                    log.exception("relay.late_not_written", generation=flight.pk)

    def _write(self, batch: list[_Back], late: list[Flight]) -> None:
        """Rows: outcomes, those that were called off, and those that are asked for long."""
        owner, now = self.context.owner, clock.now()
        outcomes = [one.outcome for one in batch if one.outcome]
        new = {one.flight.pk: one.flight.columns(owner) for one in batch if one.outcome and not one.flight.row}
        off = [one.flight for one in batch if not one.outcome]
        with transaction.atomic():  # all or nothing: what fails is tried again one by one
            if outcomes:
                finish.finish(outcomes, owner, new)
                if any(one.outcome.failure or not one.flight.block for one in batch if one.outcome):
                    wake(Channel.SERVE)  # it waits again, or a seat that is not held is free: those who plan are elsewhere
            if unwritten := [*late, *(flight for flight in off if not flight.row)]:
                finish.begin({flight.pk: flight.columns(owner) for flight in unwritten}, owner, now)
            for flight in off:
                queue.cancel(flight.pk, now, "Its client went away.")
