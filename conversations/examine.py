"""A live look at every feed, for people: does it answer, and which generation is it. Nothing is written, nothing is posted."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from conversations.address import interval
from conversations.feed.client import Client
from conversations.feed.errors import FeedError
from conversations.feed.values import Endpoint, Generation
from conversations.models import Feed
from swwbot_site.lib import http

PATIENCE_S: Final = 8.0
"""Seconds for the whole look at one feed, at most."""

FORGETS_S: Final = 10.0
"""A Durable Object that nobody has asked anything for so long may be put away, and the newest backend keeps nothing but in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A feed to look at. `configured` is the generation set by hand, empty to find out; `detected` what was found before."""

    name: str
    url: str
    enabled: bool
    dry_run: bool
    configured: str
    detected: str
    every_s: float
    """Seconds between our polls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a look found. `text` says how the feed is; `error` is the stable code of what is wrong, empty if nothing."""

    feed: str
    enabled: bool
    text: str
    error: str = ""
    advice: str = ""
    """What to change although it answers; empty if nothing."""


def subjects() -> tuple[Subject, ...]:
    """Every feed, by name."""
    return tuple(
        Subject(
            name=row.name,
            url=row.url,
            enabled=row.enabled,
            dry_run=row.dry_run,
            configured="" if row.generation == Feed.Generation.AUTO else row.generation,
            detected=row.detected,
            every_s=interval(row),
        )
        for row in Feed.objects.order_by("name")
    )


async def look(wanted: Iterable[Subject]) -> tuple[Finding, ...]:
    """Look at them all at once; those that are switched off are not asked."""
    async with http.client() as raw:
        client = Client(raw, total_s=PATIENCE_S)
        return tuple(await asyncio.gather(*(_look(client, one) for one in wanted)))


async def _look(client: Client, subject: Subject) -> Finding:
    if not subject.enabled:
        return Finding(feed=subject.name, enabled=False, text="switched off")

    def found(text: str, error: str = "", advice: str = "") -> Finding:
        return Finding(feed=subject.name, enabled=True, text=text, error=error, advice=advice)

    try:
        async with asyncio.timeout(PATIENCE_S):
            generation = await client.detect(subject.url)
            page = await client.fetch(Endpoint(url=subject.url, generation=generation), after=None, limit=1)
    except FeedError as exc:
        return found(str(exc), exc.code)
    except ValueError as exc:
        return found(str(exc), "feed.misaddressed")
    except TimeoutError:
        return found(f"{subject.url}: no whole answer within {PATIENCE_S:g} s", "feed.slow")
    newest = max((message.timestamp for message in page.messages), default=None)
    text = f"{subject.url} is a {_called(generation)}" + ("; no message yet" if newest is None else "; it has messages")
    remark, advice = _remark(subject, generation)
    return found(text + remark, advice=advice)


def _remark(subject: Subject, generation: Generation) -> tuple[str, str]:
    """What is odd about a feed that answers, to go on after the text, and what to do; two empty texts if nothing is."""
    remembered = subject.configured or subject.detected
    if remembered and remembered != generation:
        return f", but it is spoken to as {remembered}", 'Set its generation to "find out" in the admin.'
    if subject.dry_run:
        return "; dry run, nothing is posted", "Switch it off to go live."
    if generation is Generation.DO and subject.every_s > FORGETS_S:
        remark = f"; it may forget everything {FORGETS_S:g} s after the last request, and is read every {subject.every_s:g} s"
        return remark, f"Read it at least every {FORGETS_S:g} s, or messages get lost while nobody else asks."
    return "", ""


def _called(generation: Generation) -> str:
    return f"{Feed.Generation(generation.value).label} backend"
