"""What the status page shows, as values: regions of items, each redrawn only when its value has changed.

No value holds how long ago something was: moments are kept, and the page counts from them by itself. So an unchanged cluster is an
unchanged board, whatever the time.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from cluster import read as cluster
from cluster.bars import colours
from cluster.programs import programs
from cluster.read import Overview
from conversations import read as conversations
from conversations.read import Answer, Pace, Source, Worker
from entities import read as entities
from swwbot_site.monitoring.cards import asker, card, loads, row
from swwbot_site.monitoring.trouble import troubles

ANSWERS: Final = 16
"""Answers shown."""

UNDERWAY: Final = 3
"""Answers under way shown above them."""

QUEUES: Final = 40
"""Models shown that requests wait for; the rest is counted."""

PROGRAMS: Final = 12
"""Programs shown; the rest is counted."""

MANY: Final = 24
"""More servers than this are drawn small."""

LATELY: Final = timedelta(minutes=5)

ILL: Final = ("bad", "warn")
MOODS: Final = (*ILL, "busy", "good", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One piece of the page: the template `status/parts/<shape>.html` and the value it draws. `key` is unique in its region."""

    key: str
    shape: str
    value: Hashable


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A place of the page with its items in their order."""

    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The big numbers. `seconds` is the median from a human's message to our post, of the answers shown."""

    online: int
    enabled: int
    in_flight: int
    slots: int
    waiting: int
    engines: int
    pace: Pace
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Underneath:
    """The last line of the page."""

    feeds: tuple[Source, ...]
    engines: tuple[tuple[str, int, datetime, bool], ...]
    """Host, process, since when, whether it lives."""


def read(now: datetime) -> tuple[Region, ...]:
    """Everything the page shows, read at one moment; under twenty short queries."""
    view, engines, feeds = cluster.overview(), conversations.engines(now), conversations.feeds()
    answers = conversations.latest(ANSWERS, UNDERWAY)
    stopped = conversations.stopped()
    hues = colours(view)
    small = len(view.servers) > MANY
    cards = [card(server, hues, now, small=small) for server in view.servers]
    if small:  # nobody looks through hundreds for the two that are ill
        cards.sort(key=lambda one: MOODS.index(one.mood) if one.mood in ILL else len(ILL))
    moods = Counter(one.mood for one in cards)
    rows = [row(waiting, hues[waiting.model]) for waiting in view.queue]
    more = rows[QUEUES:]
    asking = programs(now)
    rest = asking[PROGRAMS:]
    return (
        Region(
            name="troubles",
            items=(Item(key="all", shape="troubles", value=troubles(view, engines, feeds, entities.counted(), now, stopped)),),
        ),
        Region(name="figures", items=(Item(key="all", shape="figures", value=figures(view, engines, answers, now)),)),
        Region(name="moods", items=(Item(key="all", shape="moods", value=tuple((mood, moods[mood]) for mood in MOODS if moods[mood])),)),
        Region(
            name="servers",
            items=tuple(Item(key=f"server-{one.id}", shape="server", value=one) for one in cards) or (_empty("servers_none"),),
        ),
        Region(
            name="loads",
            items=tuple(Item(key=f"load-{one.server}-{one.model}", shape="load", value=one) for one in loads(view, hues))
            or (_empty("loads_none"),),
        ),
        Region(
            name="queue",
            items=(
                *(Item(key=f"queue-{one.model}", shape="queue", value=one) for one in rows[:QUEUES]),
                *([Item(key="more", shape="queue_more", value=(len(more), sum(one.count for one in more)))] if more else []),
                *([] if rows else [_empty("queue_none")]),
            ),
        ),
        Region(
            name="programs",
            items=(
                *(Item(key=f"program-{one.name}", shape="program", value=asker(one)) for one in asking[:PROGRAMS]),
                *([Item(key="more", shape="programs_more", value=(len(rest), sum(one.done for one in rest)))] if rest else []),
                *([] if asking else [_empty("programs_none")]),
            ),
        ),
        Region(
            name="answers",
            items=tuple(Item(key=f"reply-{one.reply}", shape="answer", value=one) for one in answers)
            or (_empty("answers_none", bool(feeds)),),
        ),
        Region(name="bottom", items=(Item(key="all", shape="bottom", value=_underneath(feeds, engines)),)),
    )


def _underneath(feeds: tuple[Source, ...], engines: Iterable[Worker]) -> Underneath:
    return Underneath(feeds=feeds, engines=tuple((one.host, one.pid, one.started_at, one.living) for one in engines))


def _empty(shape: str, value: Hashable = None) -> Item:
    return Item(key="none", shape=shape, value=value)


def figures(view: Overview, engines: Sequence[Worker], answers: Iterable[Answer], now: datetime) -> Figures:
    """The big numbers."""
    took = [one.seconds for one in answers if one.state == "posted" and one.seconds is not None]
    return Figures(
        online=sum(server.enabled and server.state == "online" for server in view.servers),
        enabled=sum(server.enabled for server in view.servers),
        in_flight=sum(server.in_flight for server in view.servers),
        slots=sum(server.slots for server in view.servers),
        waiting=view.waiting,
        engines=sum(engine.living for engine in engines),
        pace=conversations.pace(now - LATELY),
        seconds=round(median(took), 1) if took else None,
    )
