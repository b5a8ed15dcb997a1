"""Who of the clients of this process gets which seat, and what the others wait for."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from django.db import DatabaseError

from cluster.logic.line import Line, Seats
from cluster.relay import held, place
from cluster.relay.flight import Flight
from cluster.relay.held import Block
from cluster.relay.holding import Holding
from cluster.relay.storing import Storing
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.loops import Context

SOON_S: Final = 1.0
"""So long a request waits for one of the seats that are held before it becomes a row; then its place is looked up so often."""

AGAIN_S: Final = 0.05
"""How often more seats are asked for, at most, where there were not enough."""

LATE: Final = datetime.max.replace(tzinfo=UTC)

MOST: Final = 1000
"""So many may wait, as long as the policy was not read."""

CALM_S: Final = 1.0
"""How often it is looked what has changed while nobody waits here, and nobody rings."""

KEPT_S: Final = 2.0
"""How long seats are held that nobody needs."""


@dataclass(slots=True)
class Seating:
    """The lines of one process, by model. `bell` rings when there is something to do for `turn`."""

    context: Context
    storing: Storing
    bell: asyncio.Event
    most: int = MOST
    """So many may wait."""
    elsewhere: int = 0
    """So many wait in other processes."""
    waiting: set[Flight] = field(default_factory=set)
    _lines: dict[int, Line[Flight, Block]] = field(default_factory=dict)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _numbers: list[int] = field(default_factory=list)
    _counted: float = 0.0
    _looked: float = 0.0
    _placed: float = 0.0
    _holding: Holding = field(init=False)

    def __post_init__(self) -> None:
        self._holding = Holding(self.context)

    @property
    def busy(self) -> bool:
        """Whether somebody waits, or seats are held."""
        return bool(self.waiting or self._holding.forgot or any(line.seats for line in self._lines.values()))

    def line(self, model_id: int) -> Line[Flight, Block]:
        """The line of a model."""
        return self._lines.setdefault(model_id, Line())

    # --- one request ---------------------------------------------------------------------------------------------
    def enter(self, flight: Flight) -> bool:
        """Give a request a seat at once; returns False if it has to wait, and lets it."""
        flight.line = line = self.line(flight.wanted.model_id)
        if not (flight.row or line.waiting or line.rows) and self._numbers and (seat := line.take()):
            self._sit(flight, seat)
            return True
        if flight.row:
            line.rows[flight.pk] = flight
        elif flight.urgent:  # it may come before one of them; turns decide that, and only rows have turns
            self.context.spawn(self._queue_up(flight), "queue up")
        else:
            line.join(flight, flight.wanted.priority)
        self.waiting.add(flight)
        self.bell.set()
        return False

    async def queue_up(self, flight: Flight) -> None:
        """Make a request that waits long a row of the queue, if it is none."""
        if flight.line.drop(flight):
            # Whoever waits may go away meanwhile: the row is made all the same, and then called off.
            await asyncio.shield(self.context.spawn(self._queue_up(flight), "queue up"))

    def withdraw(self, flight: Flight) -> None:
        """It waits no longer."""
        self.waiting.discard(flight)
        flight.line.rows.pop(flight.pk, None)
        flight.line.drop(flight)

    def leave(self, flight: Flight, *, lose: bool = False) -> None:
        """Its seat, if it had a held one, is for the next; `lose`: none of them are, for something is wrong there."""
        seat, flight.seat = flight.seat, None
        if seat is None:
            return
        if lose or self.context.stopping.is_set():
            self._lose(flight.line, seat.placement)
        self._holding.give_back({seat.placement: flight.line.leave(seat)})
        self._pump(flight.line)

    # --- seats ---------------------------------------------------------------------------------------------------
    def _sit(self, flight: Flight, seat: Seats[Block]) -> None:
        if not flight.row:
            flight.pk = self._numbers.pop()
        flight.seat, flight.block, flight.seated_at = seat, seat.block, clock.now()
        flight.got.set_result(replace(seat.block.ticket, generation_id=flight.pk))

    def _lose(self, line: Line[Flight, Block], placement: int) -> None:
        self._holding.give_back({placement: line.lose(placement)})

    def _pump(self, line: Line[Flight, Block]) -> None:
        """Seat those who wait: first those in rows, who wait longest, by turn."""
        chosen: list[tuple[Flight, Seats[Block]]] = []
        while line.rows and (seat := line.take()):
            chosen.append((line.rows.pop(min(line.rows, key=lambda pk: (line.rows[pk].turn or LATE, pk))), seat))
        if chosen:
            self.context.spawn(self._claim(line, chosen), "claim")
        while line.waiting and self._numbers and not line.rows and (seat := line.take()):
            self._sit(line.pop(), seat)

    async def _claim(self, line: Line[Flight, Block], chosen: list[tuple[Flight, Seats[Block]]]) -> None:
        """Take requests out of the queue's rows onto held seats. One that got a seat of its own meanwhile is found by the next look."""
        async with self._moving:
            wanted, moved = {flight.pk: seat.block for flight, seat in chosen}, set[int]()
            try:
                moved.update(await self.context.rows(held.claim, self.context.owner, wanted, clock.now()))
            finally:
                for flight, seat in chosen:
                    if flight.got.done():
                        self._holding.give_back({seat.placement: line.leave(seat)})
                    elif flight.pk in moved:
                        self._sit(flight, seat)
                    else:
                        line.rows[flight.pk] = flight
                        self._holding.give_back({seat.placement: line.leave(seat)})
                self.bell.set()

    async def _queue_up(self, flight: Flight) -> None:
        wanted = flight.wanted
        try:
            given = (wanted.model, wanted.document, wanted.caller, wanted.priority, flight.queued_at)
            flight.pk, flight.turn = await self.context.rows(held.queue_up, self.context.owner, *given)
        except (BotError, DatabaseError, ValueError) as error:  # its client waits for it
            if not flight.got.done():
                flight.got.set_exception(error)
            return
        flight.row = True
        if flight.over:
            self.storing.keep(flight, None)
        else:
            flight.line = self.line(wanted.model_id)
            flight.line.rows[flight.pk] = flight
            self.bell.set()

    def _all_queue_up(self, line: Line[Flight, Block]) -> None:
        while line.waiting:
            self.context.spawn(self._queue_up(line.pop()), "queue up")

    # --- the loop ------------------------------------------------------------------------------------------------
    async def turn(self, *, rang: bool = True) -> None:
        """One round: hold seats for those who wait, look what has changed (at once if somebody `rang`), give back what nobody needs."""
        now = asyncio.get_running_loop().time()
        await self._holding.recount(self._lines.values())
        await self._hold(now)
        rows = {flight.pk: flight for flight in self.waiting if flight.row}
        if rows or rang or now - self._looked >= CALM_S:
            self._looked = now
            await self._look()
        if now - self._counted >= KEPT_S:
            self._counted = now
            for line in self._lines.values():
                self._holding.give_back(line.shrink())
            self._lines = {model: line for model, line in self._lines.items() if not line.idle}
        if rows and now - self._placed >= SOON_S:
            self._placed = now
            for pk, text in (await self.context.rows(place.places, list(rows))).items():
                rows[pk].told = text

    async def _hold(self, now: float) -> None:
        """Ask for seats for those who wait here; where there are none, they wait in the queue's rows."""
        if len(self._numbers) < held.NUMBERS // 2:
            self._numbers = (await self.context.rows(held.numbers)) + self._numbers
        wants: dict[int, int] = {}
        if self.context.stopping.is_set():  # whoever waits still gets a seat of its own
            for line in self._lines.values():
                self._all_queue_up(line)
            return
        for model, line in self._lines.items():
            if line.waiting and not line.rows and now - line.tried_at >= AGAIN_S:
                wants[model] = line.wants
        if not wants:
            return
        lines = {model: self._lines[model] for model in wants}
        fewer = await self._holding.take(wants, lines)
        for model, line in lines.items():
            line.tried_at = now if model in fewer else line.tried_at
            self._pump(line)
            if not line.seats:
                self._all_queue_up(line)

    async def _look(self) -> None:
        """Find out who got a seat, what has ended, and where others wait."""
        async with self._moving:
            blocks = {placement: seat.block for line in self._lines.values() for placement, seat in line.seats.items()}
            waiting = {flight.pk: flight for flight in self.waiting if flight.row and not flight.got.done()}
            asking = {flight.pk: (flight, flight.ticket) for flight in self.storing.asking if flight.row}
            seen = await self.context.rows(held.look, self.context.owner, list(waiting), list(asking), blocks, clock.now())
            self.most, self.elsewhere = seen.most, seen.elsewhere
            for pk, flight in waiting.items():
                flight.turn = seen.turns.get(pk)
            for ticket in seen.handed:
                waiting[ticket.generation_id].hand(ticket)
            for pk, (state, code, text) in seen.ended.items():
                flight, asked = asking[pk] if pk in asking else (waiting[pk], None)
                if pk in waiting or (flight in self.storing.asking and flight.ticket is asked):  # not if it came back meanwhile
                    flight.end(state, code, text)
        for placement, block in blocks.items():
            if placement in seen.lost or block.model_id in seen.wanted:
                self._lose(self.line(block.model_id), placement)
        for model in seen.wanted:
            self._all_queue_up(self.line(model))
        for line in list(self._lines.values()):
            self._pump(line)

    def idle(self) -> None:
        """Nobody waits here: what was known of those elsewhere gets old."""
        self.most, self.elsewhere = MOST, 0

    def stop(self) -> None:
        """Give back every seat as soon as nobody sits there."""
        for line in list(self._lines.values()):
            for placement in list(line.seats):
                self._lose(line, placement)
        self.bell.set()

    def forget(self) -> None:
        """The database is away, and others may take us for dead: what was held is held no longer than somebody sits there."""
        self._holding.forgot = True
        for line in self._lines.values():
            line.forget()
        self.bell.set()
