"""The steps of the conversation one by one, as an engine without its loops would take them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from django.db import connection

from conversations import confirm, cycle, expire, ingest, poll, post, settle
from conversations.feed.client import Client
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.errors import FeedError
from conversations.feed.values import Accepted
from conversations.models import Feed, Reply
from conversations.post import Letter
from entities import read
from swwbot_site.lib import clock, http, leases
from tests.harness import Background


class Desk:
    """One engine's number and network."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self.owner = leases.draw()
        self.http = background.run(_made(http.client))
        self.client = Client(self.http)

    def close(self) -> None:
        self._background.run(self.http.aclose())

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Whoever does not answer soon is not waited for."""
        patient, self.client = self.client, Client(self.http, total_s=1.5)
        yield
        self.client = patient

    def poll(self) -> int:
        """Steps 1 and 2 for every feed, due or not; how many messages are new."""
        Feed.objects.update(poll_at=None)
        return sum(self.take(target) for target in poll.due(self.owner, clock.now()))

    def fetch(self, target: Any) -> Any:
        """Step 1 alone."""
        return self._background.run(poll.poll(self.client, target, frozenset(p.slug for p in read.personas())))

    def take(self, target: Any) -> int:
        """Steps 1 and 2 for one."""
        try:
            return ingest.ingest(self.fetch(target), clock.now())
        except FeedError as error:
            poll.failed(target, error)
            return 0

    def listen(self) -> int:
        """Steps 1 to 4."""
        new = self.poll()
        cycle.judge(clock.now())
        return new

    def post(self, *, anew: bool = True) -> list[FeedError | None]:
        """Step 11 for what is due; `anew`: pauses or not."""
        if anew:
            Feed.objects.update(post_at=None)
            Reply.objects.filter(state="posting", accepted_at__isnull=True).update(attempt_at=None)
        expire.expire(clock.now())
        return [self.send(letter) for letter in post.claim(self.owner, clock.now())]

    def send(self, letter: Letter, owner: int | None = None) -> FeedError | None:
        """Step 11 for one letter; what went wrong."""
        outcome = self.hand(letter, owner)
        post.told(letter, outcome, owner or self.owner)
        return outcome if isinstance(outcome, FeedError) else None

    def hand(self, letter: Letter, owner: int | None = None) -> Accepted | FeedError | None:
        """The network's part of it: the receipt, what went wrong, or None if it was withheld."""

        async def clear() -> bool:
            return await asyncio.to_thread(_asked, post.cleared, letter, owner or self.owner)

        return self._background.run(post.post(self.client, letter, clear))

    def confirm(self) -> int:
        """Step 12 for everything posted."""
        Reply.objects.filter(state="posting", accepted_at__isnull=False).update(attempt_at=clock.now())
        looks = confirm.due(self.owner, clock.now())
        return sum(confirm.confirmed(look, self._background.run(confirm.confirm(self.client, look)), self.owner) for look in looks)

    def settle(self) -> int:
        """Tell the feed what is owed to it."""
        debts = settle.due(clock.now())
        for debt in debts:
            settle.settled(debt, self._background.run(settle.settle(self.client, debt)))
        return len(debts)


def _asked(cleared: Callable[[Letter, int], bool], letter: Letter, owner: int) -> bool:
    try:
        return cleared(letter, owner)
    finally:
        connection.close()


async def _made(make: Callable[[], httpx.AsyncClient]) -> httpx.AsyncClient:
    return make()


def say(feed: Chat, text: str = "What is time?", ip: str = "10.9.1.1", **body: Any) -> str:
    """Post as a human; returns the id."""
    reply = httpx.post(
        f"{feed.url}/comments", json={"text": text} | body, headers={"X-Forwarded-For": ip}, timeout=10, trust_env=False, verify=False
    )
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


def shown(feed: Chat) -> list[dict[str, Any]]:
    """What the feed keeps, oldest first, as its state says it."""
    state = httpx.get(feed.url.removesuffix("/api") + "/emulator/state", timeout=10, trust_env=False, verify=False).json()
    return sorted(state["messages"] or [], key=lambda one: one["timestamp"])


def answers(feed: Chat) -> list[dict[str, Any]]:
    """What bots said there."""
    return [one for one in shown(feed) if one["message-type"] == "AI"]


def quirks(feed: Chat, **wanted: object) -> None:
    """Switch habits of the emulator from outside its loop."""
    url = feed.url.removesuffix("/api") + "/emulator/quirks"
    httpx.post(url, content=json.dumps(wanted), timeout=10, trust_env=False, verify=False).raise_for_status()


def states() -> Iterator[str]:
    """The replies' states, by age."""
    yield from Reply.objects.order_by("id").values_list("state", flat=True)
