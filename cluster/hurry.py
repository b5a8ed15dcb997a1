"""What people do with requests that are in the queue, or were: bring one forward, give it back, ask it again. (`queue` calls it off.)"""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models.functions import Least

from cluster import cache
from cluster import queue as door
from cluster.logic.lifecycle import ENDED, GenerationState
from cluster.logic.request import Request
from cluster.models import ClusterPolicy, Generation, Seat
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import FREE
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

CHAT: Final = "/v1/chat/completions"


class NotQueued(BotError):
    """A request does not wait, or is not there."""

    code = "not-queued"
    fault = Fault.OPERATOR


def hurry(generation_id: int, priority: int, who: str) -> datetime:
    """Give a waiting request another priority and the turn that goes with it, counted from when it was queued. Returns the turn.

    It is never put back: a less urgent priority leaves a turn that is earlier. An equal request that is asked for both comes with it.
    Raises NotQueued, ValueError for a priority outside 0 … 99.
    """
    if not 0 <= priority <= 99:
        raise ValueError(f"{priority} is no priority: 0 is first, 99 last.")
    with transaction.atomic():
        rows = Generation.objects.select_for_update(no_key=True, of=("self",)).select_related("leader")
        row = rows.filter(pk=generation_id).first()
        if row is None or row.state != GenerationState.QUEUED:
            raise NotQueued(
                f"Request {generation_id} {'is ' + row.state if row else 'is not there'}: only what waits can be brought forward."
            )
        turn = row.queued_at + timedelta(seconds=priority * ClusterPolicy.current().ageing_s)
        Generation.objects.filter(pk=row.pk).update(
            priority=priority, turn_at=Least("turn_at", turn), share_at=Least("share_at", row.queued_at), not_before=None
        )
        row.refresh_from_db(fields=["turn_at"])
        if row.leader is not None:
            cache.follow(row.leader, row.turn_at)
        text = f"{who} gave request {row.pk} the priority {priority}"
        say("generation.hurried", text, subject=f"generation:{row.pk}", who=who, priority=priority)
        wake(Channel.SERVE)
        return row.turn_at


def again(generation_id: int, who: str, now: datetime) -> int:
    """Have a request asked again: a running one goes back into the queue, of an ended one a copy is queued. Returns its number.

    The copy belongs to `again:WHO`: an answer that was to be posted comes back through its reply. Raises NotQueued, and what `queue.submit`
    raises.
    """
    with transaction.atomic():
        rows = Generation.objects.select_for_update(no_key=True, of=("self",)).select_related("model", "pin")
        row = rows.filter(pk=generation_id).first()
        if row is None:
            raise NotQueued(f"There is no request {generation_id}.")
        if row.state == GenerationState.QUEUED:
            raise NotQueued(f"Request {row.pk} waits already.")
        if row.home is not None and row.state == GenerationState.RUNNING:
            raise NotQueued(
                f"A client waits for request {row.pk}, and may have heard the beginning of its answer: it can only be called off."
            )
        if row.state == GenerationState.RUNNING:
            Seat.objects.filter(generation=row).delete()
            moved(row, GenerationState.RUNNING, GenerationState.QUEUED, avoid=row.server, **FREE)
            text = f"Request {row.pk} waits again: {who} wants it asked elsewhere"
            say("generation.requeued", text, subject=f"generation:{row.pk}", level=Level.WARNING, who=who)
            wake(Channel.SERVE)
            return row.pk
        assert row.state in ENDED
        if row.request.get("endpoint", CHAT) != CHAT:
            raise NotQueued(f"Request {row.pk} was no chat: only the program that wanted it can ask it again.")
        if not row.request:
            raise NotQueued(f"What request {row.pk} asked is not kept any more.")
        asked = Request(
            messages=row.request.get("messages", ()),
            sampling=row.request.get("sampling") or {},
            max_tokens=row.request.get("max_tokens"),
            stop=row.request.get("stop") or (),
        )
        caller, pin = f"again:{who}"[:100], row.pin.name if row.pin else ""
        pk = door.submit(row.model.key, asked, caller=caller, now=now, priority=row.priority, pin=pin, cache=False)
        say("generation.again", f"{who} asks request {row.pk} again, as {pk}", subject=f"generation:{row.pk}", who=who, generation=pk)
        return pk
