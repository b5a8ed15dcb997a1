"""What listening costs: messages through ingest, analyse and decide on a real PostgreSQL, and beside it the pure analysis alone.

The messages come as polls bring them, a batch every few seconds of a chat of 1000 messages a minute, whose time is made up: nothing waits.
Replies are queued and no model answers them.
"""

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from conversations import cycle, ingest
from conversations.feed.values import FeedMessage, Generation, Page
from conversations.logic import activity
from conversations.logic.cast import Cast, heard
from conversations.logic.detection import question
from conversations.logic.grouping import groups
from conversations.logic.haul import Haul, Target
from conversations.logic.hearing import GROUPED, LEAST
from conversations.logic.message import Line
from conversations.logic.topics import topics
from conversations.models import Feed, Message, Reply
from entities.models import Entity, RateLimit
from entities.read import personas
from swwbot_site import postgres
from swwbot_site.bench import chatter, stage
from swwbot_site.bench.chatter import Figure
from swwbot_site.bench.figures import Cores, machine
from swwbot_site.lib import clock, hooks

PER_MINUTE: Final = 1000
POLL_S: Final = 5.0
CALLS: Final = 0.05
"""The share of messages that name somebody."""

WARMING: Final = 200
"""Messages that go before those that are counted."""


def run(entities: int, messages: int) -> dict[str, object]:
    """Messages a second, milliseconds of CPU for each, and what share of a core 1000 a minute would take."""
    figures = chatter.crowd(entities)
    with stage.own_database() as own:
        result: dict[str, object] = {"machine": machine(), "size": {"entities": entities, "messages": messages}}
        hooks.load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
        begin = clock.now() - timedelta(minutes=(messages + WARMING) / PER_MINUTE)
        stream = list(chatter.said(figures, messages + WARMING, CALLS, clock.millis(begin), 60_000 // PER_MINUTE))
        feed = _people(figures)
        database = postgres.Server(var=stage.folder(own)).pid()
        assert database is not None
        _listen(feed, stream[:WARMING], begin)
        result["listening"] = _whole(feed, stream[WARMING:], begin + timedelta(minutes=WARMING / PER_MINUTE), database)
        result["analysis alone"] = _pure(Cast.of(personas()), stream)
    return result


def _people(figures: Sequence[Figure]) -> Feed:
    """The rows of the crowd, each with two limits, and of a feed."""
    Entity.objects.bulk_create(
        Entity(
            slug=figure.slug,
            username=figure.name,
            color="128000255",
            aliases=list(figure.aliases),
            triggers=[f"!{figure.slug}"],
            interests=list(figure.interests),
            model="bench/model",
            system_prompt=f"You are {figure.name}, and you like {', '.join(figure.interests)}. You are brief.",
            response_chance=figure.chance,
            responds_to_all_ai=figure.listens_to_bots,
        )
        for figure in figures
    )
    limits = [("minute", 100), ("hour", 1000)]
    RateLimit.objects.bulk_create(RateLimit(entity=one, kind=kind, amount=n) for one in Entity.objects.all() for kind, n in limits)
    return Feed.objects.create(
        name="bench", url="http://127.0.0.1:1/api", generation=Feed.Generation.DO, worker=chatter.WORKER, cursor=1, polled_at=clock.now()
    )


def _listen(feed: Feed, stream: Sequence[FeedMessage], begin: datetime) -> None:
    """Take the messages in as polls bring them, and decide about each batch."""
    batch = max(1, int(PER_MINUTE * POLL_S / 60))
    for first in range(0, len(stream), batch):
        now = begin + timedelta(minutes=min(len(stream), first + batch) / PER_MINUTE)
        Feed.objects.filter(pk=feed.pk).update(polled_at=now - timedelta(seconds=POLL_S))
        ingest.ingest(_haul(feed, stream[first : first + batch], now), now)
        while cycle.judge(now):
            pass


def _haul(feed: Feed, messages: Sequence[FeedMessage], now: datetime) -> Haul:
    target = Target(
        feed_id=feed.pk,
        name=feed.name,
        url=feed.url,
        generation=Generation.DO,
        endpoint=None,
        after=None,
        worker=feed.worker,
        claim=False,
        pending=frozenset(),
    )
    return Haul(target=target, asked_at=now, generation=Generation.DO, page=Page(messages=tuple(messages)))


def _whole(feed: Feed, stream: Sequence[FeedMessage], begin: datetime, database: int) -> dict[str, object]:
    """All of listening: the process, the database beside it, and what came of it."""
    before = Reply.objects.count()
    cores = Cores({"process": os.getpid(), "database": database}, families=["database"])
    began = time.monotonic()
    _listen(feed, stream, begin)
    took, spent = time.monotonic() - began, cores.spent()
    undecided = Message.objects.filter(decided_at__isnull=True).count()
    assert not undecided, f"{undecided} messages were not decided"
    each = {f"{name}_ms": round(seconds / len(stream) * 1000, 3) for name, seconds in spent.items()}
    shares = {f"{name}_percent": round(seconds / len(stream) * PER_MINUTE / 60 * 100, 2) for name, seconds in spent.items()}
    return {
        "messages_per_s": round(len(stream) / took, 1),
        "cpu_each": each,
        "of_a_core_at_1000_a_minute": shares,
        "replies": Reply.objects.count() - before,
    }


def _pure(cast: Cast, stream: Sequence[FeedMessage]) -> list[dict[str, object]]:
    """The parts of the analysis without any row, in the thread's time."""
    lines = [_line(n, message) for n, message in enumerate(stream)]

    def around(n: int, count: int) -> Sequence[Line]:
        return lines[max(0, n - count) : n]

    parts: dict[str, Callable[[int], object]] = {
        "questions": lambda n: question(lines[n].text),
        "names and triggers": lambda n: (cast.called(there := heard(lines[n].text)), cast.triggered(there)),
        "topics and interests": lambda n: cast.interested(topics(lines[n].text, (one.text for one in around(n, LEAST)))),
        "groups": lambda n: groups((*around(n, GROUPED), lines[n])),
        "activity": lambda n: activity.activity([activity.at(one) for one in around(n, LEAST)], activity.at(lines[n]), whole=True),
    }
    found = [(name, _timed(part, len(lines))) for name, part in parts.items()]
    found.append(("all of it", sum(each for _, each in found)))
    return [
        {"part": name, "cpu_us": round(each * 1e6, 1), "percent_at_1000_a_minute": round(each * PER_MINUTE / 60 * 100, 3)}
        for name, each in found
    ]


def _timed(part: Callable[[int], object], number: int) -> float:
    """Seconds for one."""
    began = time.thread_time()
    for n in range(number):
        part(n)
    return (time.thread_time() - began) / number


def _line(number: int, message: FeedMessage) -> Line:
    return Line(
        id=number,
        remote_id=message.id,
        text=message.text,
        username=message.username,
        kind=message.kind,
        timestamp=message.timestamp,
        reply_to=message.reply_to,
    )
