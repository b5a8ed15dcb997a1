"""A live look at every server, for people: does it answer, how, and what has it. Nothing is written."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from cluster.address import endpoint, timeouts
from cluster.lmstudio.client import Client
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.names import known
from cluster.lmstudio.values import Endpoint, ListedModel, State, Timeouts
from cluster.models import ClusterPolicy, LanguageModel, Server
from cluster.strategies import table
from swwbot_site.lib import http

PATIENCE_S: Final = 5.0
"""Seconds for the whole look at one server, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A server to look at."""

    name: str
    url: str
    enabled: bool
    draining: bool
    endpoint: Endpoint
    timeouts: Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a look found. `text` says how the server is; `error` is the stable code of what is wrong, empty if nothing.

    `models` has for each model on the server every name it answers to; `loaded` counts those in memory.
    """

    server: str
    url: str
    enabled: bool
    text: str
    error: str = ""
    models: tuple[tuple[str, ...], ...] = ()
    loaded: int = 0

    def has(self, names: Iterable[str]) -> bool:
        """Whether the server has a model of one of these names."""
        return any(known(name, spelled) for name in names for spelled in self.models)


def subjects() -> tuple[Subject, ...]:
    """Every server, by name, with the policy's limits cut to PATIENCE_S."""
    limits = timeouts(ClusterPolicy.current())
    short = replace(limits, connect_s=min(limits.connect_s, PATIENCE_S), probe_s=min(limits.probe_s, PATIENCE_S))
    return tuple(
        Subject(name=row.name, url=row.url, enabled=row.enabled, draining=row.draining, endpoint=endpoint(row), timeouts=short)
        for row in Server.objects.order_by("name")
    )


async def look(wanted: Iterable[Subject]) -> tuple[Finding, ...]:
    """Look at them all at once; those that are switched off are not asked."""
    async with http.client() as raw:
        client = Client(raw)
        return tuple(await asyncio.gather(*(_look(client, one) for one in wanted)))


async def _look(client: Client, subject: Subject) -> Finding:
    if not subject.enabled:
        return Finding(server=subject.name, url=subject.url, enabled=False, text="switched off")
    try:
        async with asyncio.timeout(PATIENCE_S):
            where, how = subject.endpoint, f"speaks {subject.endpoint.dialect}"
            if not where.dialect:
                found = await client.detect(where, subject.timeouts)
                where, how = replace(where, dialect=found.dialect), f"speaks {found.dialect} ({found.reason.rstrip('.')})"
            seconds = await client.ping(where, subject.timeouts)
            listing = await client.list(where, subject.timeouts)
    except PeerError as exc:
        return Finding(server=subject.name, url=subject.url, enabled=True, text=str(exc), error=exc.code)
    except TimeoutError:
        text = f"{subject.endpoint.where}: no whole answer within {PATIENCE_S:g} s"
        return Finding(server=subject.name, url=subject.url, enabled=True, text=text, error="probe-timeout")
    loaded = sum(model.state is State.LOADED for model in listing.models)
    text = f"{how}, answers in {seconds * 1000:.0f} ms; {len(listing.models)} models, {loaded} in memory"
    return Finding(
        server=subject.name,
        url=subject.url,
        enabled=True,
        text=f"{text}; draining, gets no new work" if subject.draining else text,
        models=tuple(_names(model) for model in listing.models),
        loaded=loaded,
    )


def _names(model: ListedModel) -> tuple[str, ...]:
    return (model.key, *model.aliases)


def spellings(name: str) -> tuple[str, ...]:
    """Every name of the model that people mean by `name`; `name` itself when it is unknown."""
    folded = name.strip().lower()
    for row in LanguageModel.objects.order_by("id"):
        if folded == row.key or folded in row.aliases:
            return (name, row.key, *row.aliases)
    return (name,)


def default_model() -> str:
    """The model of requests that name none; empty if there is no such default."""
    return ClusterPolicy.current().default_model


def strategy() -> tuple[str, tuple[str, ...]]:
    """The policy's strategy, and the names of those there are. Without the policy's one nothing can be planned."""
    return ClusterPolicy.current().strategy, tuple(sorted(table()))
