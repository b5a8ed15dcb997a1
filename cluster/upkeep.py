"""What people do with servers, and with what is in their memory. Rows only: engines hear of it and act.

::

    switch, drain    a server gets nothing, or nothing new
    look             an engine asks it anew, at once, and makes the rows agree with what it lists
    load             a request of one token, pinned to the server: planned, queued, explained and called off like any other
    unload           the instance goes once it is idle and nobody waits for its model
    pin              the instance is never evicted
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from django.db import transaction

from cluster import queue
from cluster.logic.lifecycle import HELD, PlacementState
from cluster.logic.request import Request
from cluster.models import Offer, Placement, Server
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.wake import Channel, wake

LOADER: Final = "load"
"""Who asks for the one token; followed by a colon and who wanted the load."""

PATIENCE: Final = timedelta(minutes=30)
"""A load that could not begin by then is given up."""

TOKEN: Final = Request(messages=({"role": "user", "content": "Hi"},), max_tokens=1)


class NotLoadable(BotError):
    """A model cannot be loaded on a server now."""

    code = "not-loadable"
    fault = Fault.OPERATOR


class NotUnloadable(BotError):
    """An instance is not in memory, or has to stay there."""

    code = "not-unloadable"
    fault = Fault.OPERATOR


def switch(ids: Collection[int], who: str, *, on: bool) -> int:
    """Enable or disable servers. Returns for how many that is a change. A disabled one gets nothing, and nobody looks at it."""
    with transaction.atomic():
        rows = list(Server.objects.select_for_update(no_key=True).filter(pk__in=ids, enabled=not on).order_by("pk"))
        if on:
            Server.objects.filter(pk__in=[row.pk for row in rows]).update(enabled=True, retry_at=None, listed_at=None)
        else:
            Server.objects.filter(pk__in=[row.pk for row in rows]).update(enabled=False)
        for row in rows:
            _told(row, "enabled" if on else "disabled", f"{row} is {'on' if on else 'off'}: {who} switched it", who)
        return _woken(len(rows))


def drain(ids: Collection[int], who: str, *, on: bool) -> int:
    """Let servers finish what they have and give them nothing new, or give them work again. Returns for how many that is a change."""
    with transaction.atomic():
        rows = list(Server.objects.select_for_update(no_key=True).filter(pk__in=ids, draining=not on).order_by("pk"))
        Server.objects.filter(pk__in=[row.pk for row in rows]).update(draining=on)
        for row in rows:
            text = f"{row} finishes what it has and gets nothing new" if on else f"{row} gets work again"
            _told(row, "draining" if on else "undrained", f"{text}: {who} wanted it", who)
        return _woken(len(rows))


def look(ids: Collection[int]) -> int:
    """Have servers asked at once what they are and hold, pauses after failures or not. Returns how many of them are enabled."""
    with transaction.atomic():
        return _woken(Server.objects.filter(pk__in=ids, enabled=True).update(retry_at=None, listed_at=None))


def load(offer_id: int, who: str) -> int:
    """Have a model loaded where this offer says it is on a disk. Returns the generation that waits for it. Raises NotLoadable."""
    with transaction.atomic():
        offer = Offer.objects.select_related("server", "model").filter(pk=offer_id).first()
        if offer is None:
            raise NotLoadable(f"There is no offer {offer_id}: the server does not list that model any more.")
        server, model = offer.server, offer.model
        if not server.enabled or server.draining:
            raise NotLoadable(f"{server} {'is draining' if server.enabled else 'is disabled'}: nothing is loaded there.")
        if model.kind == "embedding":
            raise NotLoadable(f"{model} makes embeddings: its server loads it when it is asked for one.")
        held = Placement.objects.filter(server=server, model=model, state__in=HELD).first()
        if held is not None:
            raise NotLoadable(f"{model} is {held.state} on {server} already.")
        now = clock.now()
        pk = queue.submit(
            model.key, TOKEN, caller=f"{LOADER}:{who}"[:100], now=now, priority=0, deadline=now + PATIENCE, pin=server.name, cache=False
        )
        say("load.wanted", f"{who} wants {model} loaded on {server}", subject=f"server:{server}", who=who, generation=pk)
        return pk


def unload(placement_id: int, who: str) -> None:
    """Tell an instance to leave as soon as it is idle and nobody waits for its model. Raises NotUnloadable."""
    with transaction.atomic():
        row = _held(placement_id)
        if row.state != PlacementState.LOADED:
            raise NotUnloadable(f"{row.model} is {row.state} on {row.server}: only what is loaded can be unloaded.")
        if row.pinned or Offer.objects.filter(server=row.server, model=row.model, pinned=True).exists():
            raise NotUnloadable(f"{row.model} is to stay loaded on {row.server}. End that first.")
        if not row.dismissed:
            Placement.objects.filter(pk=row.pk).update(dismissed=True)
            say("placement.dismissed", f"{who} wants {row.model} to leave {row.server}", subject=f"server:{row.server}", who=who)
            wake(Channel.PLAN, Channel.SERVE)


def pin(placement_id: int, who: str, *, on: bool) -> bool:
    """Have an instance never evicted, or let it go again. Returns whether that is a change. Raises NotUnloadable if it is not in memory."""
    with transaction.atomic():
        row = _held(placement_id)
        if row.pinned == on:
            return False
        Placement.objects.filter(pk=row.pk).update(pinned=on, **({"dismissed": False} if on else {}))
        text = f"{row.model} is never evicted from {row.server}" if on else f"{row.model} may be evicted from {row.server} again"
        say("placement.pinned" if on else "placement.unpinned", f"{text}: {who} wanted it", subject=f"server:{row.server}", who=who)
        wake(Channel.PLAN, Channel.SERVE)
        return True


def _held(placement_id: int) -> Placement:
    """A placement that holds memory, locked."""
    rows = Placement.objects.select_for_update(no_key=True, of=("self",)).select_related("server", "model")
    row = rows.filter(pk=placement_id, state__in=HELD).first()
    if row is None:
        raise NotUnloadable(f"Placement {placement_id} is not in any memory.")
    return row


def _told(server: Server, what: str, text: str, who: str) -> None:
    level = Level.INFO if what in ("enabled", "undrained") else Level.WARNING
    say(f"server.{what}", text, subject=f"server:{server}", level=level, who=who)


def _woken(count: int) -> int:
    if count:
        wake(Channel.SETTINGS, Channel.SERVE)
    return count
