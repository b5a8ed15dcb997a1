"""A round through every kind of old rows, in steps that are one short transaction each.

Where the round has come to stands in the one row of `Retention`, and moves in the transaction of the step. So of many engines one does
each step, whoever dies has done a step or not, and whoever comes next goes on from there. Between two steps is a pause of several times
what the step took.
"""

import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction

from conversations import prune
from swwbot_site.lib import clock
from swwbot_site.lib.events import say
from swwbot_site.lib.hooks import hookimpl, step
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.pruning import Cut, Kind
from swwbot_site.lib.wake import Channel
from swwbot_site.retention.kinds import ago, kinds
from swwbot_site.retention.row import Retention

EVERY: Final = timedelta(hours=1)
SIZE: Final = 200
"""Rows of a kind that are looked at in one step."""

SHARE: Final = 4
"""The pause after a step is so many times as long as the step."""

LEAST_S: Final = 0.05
BUSY: Final = timedelta(seconds=1)
"""When to look again while somebody else is at it."""


def begin(now: datetime) -> None:
    """Let a round begin at once, if none is running."""
    Retention.objects.get_or_create(pk=1)
    Retention.objects.filter(pk=1, kind="").update(due_at=now)


def advance(now: datetime, size: int = SIZE) -> float:
    """Take the next step, if it is due and nobody else takes it. Returns the seconds until the next is due."""
    begun = time.monotonic()
    with transaction.atomic():
        row = Retention.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=1).first()
        if row is None:
            Retention.objects.get_or_create(pk=1)
            return BUSY.total_seconds()
        if row.due_at is not None and row.due_at > now:
            return (row.due_at - now).total_seconds()
        step("prune.before")
        _step(row, now, size)
        took = time.monotonic() - begun
        row.due_at = now + timedelta(seconds=max(LEAST_S, SHARE * took)) if row.kind else now + EVERY
        row.save(update_fields=["kind", "positions", "day", "counts", "due_at", "ended_at", "gone"])
        step("prune.inside")
    step("prune.after")
    return (row.due_at - now).total_seconds()


def _step(row: Retention, now: datetime, size: int) -> None:
    """The next batch of the kind that the round has come to; of a round that begins, its beginning."""
    order = list(kinds(row, now))
    names = [kind.name for kind, _ in order]
    if row.kind not in names:  # it begins, or that kind is kept for ever now
        _begin(row, order, now)
        row.kind = names[0]
        return
    place = names.index(row.kind)
    kind, before = order[place]
    chosen = kind.choose(Cut(before=before, after=row.positions.get(kind.name, 0), size=size))
    gone = kind.remove(chosen.ids) if chosen.ids else {}
    row.counts = dict(Counter(row.counts) + Counter({name: n for name, n in gone.items() if n}))
    row.positions[kind.name] = chosen.position
    if not chosen.more:
        row.kind = names[place + 1] if place + 1 < len(names) else ""
    if not row.kind:
        _end(row, now)


def _begin(row: Retention, order: list[tuple[Kind, datetime]], now: datetime) -> None:
    """What comes before the first batch: the marks of the feeds, and once a day the walks from the beginning."""
    row.counts = {}
    day = now.astimezone(UTC).date()
    if row.day != day:
        lasting = {kind.name for kind, _ in order if not kind.again}
        row.positions = {name: position for name, position in row.positions.items() if name in lasting}
        row.day = day
    if row.messages_days:
        prune.mark(ago(now, row.messages_days))


def _end(row: Retention, now: datetime) -> None:
    row.ended_at = now
    if row.counts:
        row.gone = row.counts
        say("retention.pruned", f"Old rows went: {told(row.counts)}", **row.counts)


def told(counts: Mapping[str, int]) -> str:
    """What went, in words."""
    return ", ".join(f"{n:,} {name}" for name, n in counts.items()) or "none"


async def turn(context: Context) -> float:
    """One step of one engine."""
    return await context.rows(advance, clock.now())


@hookimpl
def engine_loops() -> tuple[Loop, ...]:
    """Throwing away. It sleeps nearly always."""
    return (Loop(name="prune", channel=Channel.SETTINGS, turn=turn, pace_s=LEAST_S),)
