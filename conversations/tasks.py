"""What django-q runs: a shift of the engine, and the watchdog that starts one where it is missing."""

import asyncio

import structlog
from django.conf import settings
from django.db import DatabaseError

from conversations import engine, roster
from swwbot_site.lib import shifts

log = structlog.get_logger(__name__)

SHIFT = "conversations.tasks.shift"
WATCHDOG = "conversations.tasks.watchdog"


def shift() -> str:
    """Run the engine for a shift, then hand over. Ends at once if this queue has its engine already. Returns why it ended."""
    if roster.running(shifts.queue_name()) >= 1:
        return "this queue has an engine already"
    with shifts.Guard() as guard:
        return asyncio.run(engine.run(shifts.queue_name(), guard.reason, settings.SHIFT_SECONDS, lambda: shifts.ensure(SHIFT, 0)))


def watchdog() -> int:
    """Start a shift if none runs here. Returns how many were started."""
    return shifts.ensure(SHIFT, roster.running(shifts.queue_name()))


def spawned() -> None:
    """A worker has begun: see to it that there is a watchdog and a shift, without waiting for the first minute."""
    try:
        shifts.watch(WATCHDOG)
        watchdog()
    except DatabaseError as error:  # the worker lives on; the watchdog of the next minute starts the shift
        log.warning("watchdog.failed", error=str(error))
