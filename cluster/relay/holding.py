"""The rows of the seats that a process holds: they change in the order in which its lines do."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cluster.catalogue import Catalogue
from cluster.logic.line import Line
from cluster.relay import held
from cluster.relay.flight import Flight
from cluster.relay.held import Block
from swwbot_site.lib import clock
from swwbot_site.lib.loops import Context


@dataclass(slots=True)
class Holding:
    """Takes seats, and gives them back, one thing at a time."""

    context: Context
    forgot: bool = False
    """The database was away: what the rows say is not what is held, until they are counted again."""
    _catalogue: Catalogue = field(default_factory=Catalogue)
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self, wants: Mapping[int, int], lines: Mapping[int, Line[Flight, Block]]) -> set[int]:
        """Hold up to so many more seats, by model. Returns the models that got fewer."""
        left = dict(wants)
        async with self._order:
            blocks = await self.context.rows(held.hold, self.context.owner, wants, clock.now(), self._catalogue)
            for block in blocks:
                lines[block.model_id].add(block.ticket.placement_id, block.n, block)
                left[block.model_id] -= block.n
        return {model for model, n in left.items() if n > 0}

    def give_back(self, seats: Mapping[int, int]) -> None:
        """So many are held no longer, by placement."""
        given = {placement: n for placement, n in seats.items() if n}
        if given and not self.forgot:
            self.context.spawn(self._give_back(given), "give back")

    async def _give_back(self, seats: Mapping[int, int]) -> None:
        async with self._order:
            await self.context.rows(held.give_back, self.context.owner, seats)

    async def recount(self, lines: Collection[Line[Flight, Block]]) -> None:
        """Make the rows as they have to be, if that is not known."""
        if not self.forgot:
            return
        async with self._order:
            self.forgot = False
            seats: dict[int, int] = {}
            for line in lines:
                for placement, seat in line.seats.items():
                    seats[placement] = seats.get(placement, 0) + seat.n
            try:
                await self.context.rows(held.recount, self.context.owner, seats, clock.now())
            except BaseException:
                self.forgot = True
                raise
