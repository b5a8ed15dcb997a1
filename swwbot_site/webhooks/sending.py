"""The engine's loop that tells webhooks what happened, woken by every event.

First attempts go to each webhook in the order of events, one after the other; an attempt that failed is made again later and holds up
nobody, so a receiver that needs the order goes by the id.
"""

import random
from typing import Final

from swwbot_site.lib import clock
from swwbot_site.lib.hooks import hookimpl
from swwbot_site.lib.http import NotTaken, deliver
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel
from swwbot_site.webhooks import outbox, signature
from swwbot_site.webhooks.outbox import Parcel

IDLE_S: Final = 30.0
LEAST_S: Final = 0.2
"""Between two turns, however much happens."""

TIMEOUT_S: Final = 10.0
"""For connecting, and between two parts of an answer; an attempt lasts twice that at most."""


class Sending:
    """What one engine has in hand."""

    def __init__(self) -> None:
        self._held: set[int] = set()

    async def turn(self, context: Context) -> float:
        """Make the deliveries of what happened, and send what is due beside the loop."""
        more = await context.rows(outbox.spread)
        for parcels in await context.rows(outbox.claim, context.owner, clock.now()):
            self._held.update(one.delivery_id for one in parcels)
            context.spawn(self._send(context, parcels), f"webhook {parcels[0].webhook}")
        if more:
            return LEAST_S
        due = await context.rows(outbox.soonest)
        return IDLE_S if due is None else min(IDLE_S, max(LEAST_S, (due - clock.now()).total_seconds()))

    async def _send(self, context: Context, parcels: list[Parcel]) -> None:
        """One after the other, in their order; once there is a hurry the rest is given back."""
        try:
            for one in parcels:
                if context.stopping.is_set():
                    break
                status, answer = await _attempt(context, one)
                await context.rows(outbox.settle, one, status, answer, random.random)
                self._held.discard(one.delivery_id)
        finally:
            left = [one.delivery_id for one in parcels if one.delivery_id in self._held]
            self._held.difference_update(left)
            await context.rows(outbox.give_back, left, context.owner)
            context.ring(Channel.EVENTS)

    def renew(self, owner: int, now: object) -> None:
        """Rows: the heartbeat of what is being sent."""
        if self._held:
            outbox.renew(owner, list(self._held), clock.now())


async def _attempt(context: Context, one: Parcel) -> tuple[int | None, str]:
    """The status and the beginning of the answer; no status where there was none."""
    try:
        headers = signature.headers(one.secret, one.name, clock.now(), one.body)
        return await deliver(context.http, one.url, one.body, headers, timeout_s=TIMEOUT_S)
    except (NotTaken, ValueError) as error:
        return None, str(error)


@hookimpl
def engine_loops() -> tuple[Loop, ...]:
    """Telling webhooks."""
    one = Sending()
    return (Loop(name="webhooks", channel=Channel.EVENTS, turn=one.turn, pace_s=LEAST_S, renew=one.renew, reap=outbox.reap),)
