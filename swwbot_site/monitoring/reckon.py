"""Counts rows into tallies as they end, so that the counters of `/metrics` are sums over few rows and never fall.

What has ended is counted once, half a minute later, by whichever engine comes first: the moment up to which everything is counted moves in
the same transaction. A row that is taken away afterwards, or that comes back to life, stays counted; one that ends again counts again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from cluster import figures as cluster
from conversations import figures as conversations
from conversations import read
from conversations.feed import toll
from conversations.feed.values import base
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import hookimpl
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.tallies import Sum, added
from swwbot_site.lib.wake import Channel
from swwbot_site.models import Reckoning

LAG: Final = timedelta(seconds=30)
"""What ended later may still be in a transaction that is not over."""

EVERY: Final = timedelta(seconds=15)

REQUESTS: Final = "feed_requests"

_ADD: Final = """
INSERT INTO swwbot_site_tally AS t (day, name, label, value)
SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::float8[])
ON CONFLICT (day, name, label) DO UPDATE SET value = t.value + EXCLUDED.value
"""


def reckon(now: datetime) -> int:
    """Count what has ended since the last time. Returns how many sums were added to; 0 if somebody else is at it, or was just now."""
    Reckoning.objects.get_or_create(pk=1)
    until = now - LAG
    with transaction.atomic():
        row = Reckoning.objects.select_for_update(skip_locked=True).filter(pk=1).first()
        if row is None or (row.until and until < row.until + EVERY / 2):
            return 0
        messages, newest = conversations.messages(row.message, until)
        sums = [*cluster.sums(row.until, until), *conversations.sums(row.until, until), *messages]
        row.until, row.message = until, newest
        row.save()
        return add(sums)


def add(sums: Iterable[Sum]) -> int:
    """Add to the tallies. Returns to how many."""
    whole = added(sums)
    if whole:
        days, names, labels = zip(*whole, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [list(days), list(names), list(labels), list(whole.values())])
    return len(whole)


def keep(counts: dict[str, int], now: datetime) -> int:
    """Add requests to message backends, by their base, to the tallies of their feeds. Returns to how many."""
    sums = []
    for feed in read.feeds():
        try:
            count = counts.get(base(feed.url), 0)
        except ValueError:  # no request can have gone to what is no address
            continue
        if count:
            sums.append(Sum(day=now.date(), name=REQUESTS, label=feed.name, value=float(count)))
    return add(sums)


async def turn(context: Context) -> float:
    """Keep what this process has sent to feeds, and count what has ended."""
    counts = toll.taken()
    if counts:
        try:
            await context.rows(keep, counts, clock.now())
        except BaseException:
            toll.returned(counts)
            raise
    await context.rows(reckon, clock.now())
    return EVERY.total_seconds()


async def finish(context: Context) -> None:
    """The last counts of an engine that ends."""
    await context.rows(keep, toll.taken(), clock.now())


@hookimpl
def engine_loops() -> tuple[Loop, ...]:
    """Counting. It sleeps nearly always."""
    return (Loop(name="reckon", channel=Channel.SETTINGS, turn=turn, finish=finish, pace_s=EVERY.total_seconds()),)
