"""Tell the calls for more servers or for one less: to the plugins, and to the webhook of the policy. At least once, as long as they stand.

An attempt is claimed by putting the next one off; whoever dies in the middle of it has thereby left it to others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from cluster.models import ClusterPolicy, Notice
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import manager
from swwbot_site.lib.http import HttpClient, NotTaken, post
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 5.0
"""For a whole delivery."""

LOOK_S: Final = 10.0
"""Between two looks while nothing is due."""

FIRST_S: Final = 10.0
LONGEST_S: Final = 120.0
"""Pauses between two attempts: doubling, from the first to the longest."""

BATCH: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One attempt. `told`: the plugins know already; `url`: of the webhook, empty if there is none."""

    notice_id: int
    event: str
    at: datetime
    reason: Mapping[str, Any]
    told: bool
    url: str

    def document(self) -> dict[str, Any]:
        """What the webhook gets; `id` is the same at every attempt."""
        return {"id": self.notice_id, "event": self.event, "at": self.at.isoformat(), "reason": dict(self.reason)}


def due(now: datetime) -> list[Telling]:
    """Claim the calls that are to be told now; each attempt is made by one engine."""
    found: list[Telling] = []
    rows = list(Notice.objects.filter(due_at__lte=now).order_by("due_at")[:BATCH])
    url = ClusterPolicy.current().scale_webhook if rows else ""
    for row in rows:
        later = now + timedelta(seconds=min(LONGEST_S, FIRST_S * 2 ** min(row.attempts, 10)))
        if Notice.objects.filter(pk=row.pk, due_at=row.due_at).update(due_at=later, attempts=row.attempts + 1):
            found.append(Telling(notice_id=row.pk, event=row.event, at=row.at, reason=row.reason, told=bool(row.told_at), url=url))
    return found


def plugins(telling: Telling) -> None:
    """Tell the plugins; one that raises is told again at the next attempt, and the others with it."""
    if telling.event == Notice.Event.SCALE_OUT:
        manager.hook.scale_out(reason=telling.reason)
    else:
        manager.hook.scale_in(server=telling.reason["server"], reason=telling.reason)
    Notice.objects.filter(pk=telling.notice_id).update(told_at=clock.now())


def delivered(notice_id: int, now: datetime, *, webhook: bool) -> None:
    """Everybody knows."""
    Notice.objects.filter(pk=notice_id).update(due_at=None, delivered_at=now if webhook else None, error="")


def failed(notice_id: int, why: str) -> None:
    """Somebody does not know yet; the attempt's claim said when it is told again."""
    Notice.objects.filter(pk=notice_id).update(error=why)


async def tell(http: HttpClient, telling: Telling) -> str:
    """Tell the webhook, if there is one. Returns why it did not take it; empty: it did."""
    try:
        if telling.url:
            await post(http, telling.url, telling.document(), timeout_s=TIMEOUT_S)
    except NotTaken as error:
        log.warning("scaling.webhook_failed", notice=telling.notice_id, error=str(error))
        return str(error)
    return ""


async def turn(context: Context) -> float:
    """Tell what is due, one call after the other."""
    for telling in await context.rows(due, clock.now()):
        why = ""
        if not telling.told:
            try:
                await context.rows(plugins, telling)
            except Exception as error:  # a plugin is foreign code: whatever it does, the webhook and the next call are told
                log.exception("scaling.plugin_failed", notice=telling.notice_id, event_told=telling.event)
                why = f"a plugin failed: {type(error).__name__}: {error}"
        why = await tell(context.http, telling) or why
        if why:
            await context.rows(failed, telling.notice_id, why)
        else:
            await context.rows(delivered, telling.notice_id, clock.now(), webhook=bool(telling.url))
    return LOOK_S


def loop() -> Loop:
    """The loop that tells the calls, of a new engine."""
    return Loop(name="notify", channel=Channel.SETTINGS, turn=turn)
