"""A live look at every feed, for people: does it answer, and which generation is it. Nothing is written, nothing is posted."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from conversations.feed.client import Client
from conversations.feed.errors import FeedError
from conversations.feed.values import Endpoint, Generation
from conversations.models import Feed
from swwbot_site.lib import http

PATIENCE_S: Final = 8.0
"""Seconds for the whole look at one feed, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A feed to look at. `configured` is the generation set by hand, empty to find out; `detected` what was found before."""

    name: str
    url: str
    enabled: bool
    dry_run: bool
    configured: str
    detected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a look found. `text` says how the feed is; `error` is the stable code of what is wrong, empty if nothing."""

    feed: str
    enabled: bool
    dry_run: bool
    text: str
    error: str = ""
    generation: str = ""
    remembered: str = ""
    """What our rows believe the generation to be."""


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
        return Finding(feed=subject.name, enabled=False, dry_run=subject.dry_run, text="switched off")

    def found(text: str, error: str = "", generation: str = "") -> Finding:
        return Finding(
            feed=subject.name,
            enabled=True,
            dry_run=subject.dry_run,
            text=text,
            error=error,
            generation=generation,
            remembered=subject.configured or subject.detected,
        )

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
    return found(text, generation=generation)


def _called(generation: Generation) -> str:
    return f"{Feed.Generation(generation.value).label} backend"
