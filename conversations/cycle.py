"""The way of a message, from the feed to the answer in it. Who reads only this file and cluster/serve.py knows the system.

::

    listen    1 poll      ask the feed what is new since the cursor             conversations/poll.py
              2 ingest    keep each message once                                conversations/ingest.py
              3 analyse   what surrounds it                                     conversations/analyse.py
              4 decide    which entities answer and why                         conversations/decide.py
    serve     5 … 9       the generation                                        cluster/serve.py
    deliver  10 clean     think tags, labels, stop lists, length, repeats       conversations/clean.py
             11 post      with a fixed id and timestamp, as often as needed     conversations/post.py
             12 confirm   read it back; settle the permit; announce             conversations/confirm.py
                settle    tell the feed's own queue                             conversations/settle.py
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Min

from conversations import analyse, clean, confirm, decide, ingest, poll, post, settle
from conversations.address import line
from conversations.feed.client import Client
from conversations.feed.errors import FeedError
from conversations.logic.context import size
from conversations.logic.haul import Target
from conversations.logic.lifecycle import ReplyState
from conversations.models import Feed, Message, Reply
from entities import read
from entities.logic.persona import Persona
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE, taken
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel, wake

log = structlog.get_logger(__name__)

IDLE_S = 3.0
"""How often each loop looks by itself while nothing happens: whoever makes work rings, and what has a time is known beforehand."""

BUSY_S = 1.0
"""How often while there is something to deliver."""

PACE_S = 0.05
"""The least time between two rounds of delivering, however many answers come back."""

BATCH = 200


def judge(now: datetime) -> int:
    """Steps 3 and 4 for every new message that is ready to be decided, each in its own transaction. Returns how many."""
    ids = decide.undecided()
    if not ids:
        return 0
    personas = read.personas()
    for message_id in ids:
        try:
            _judge(message_id, personas, now)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # one message that cannot be decided must not keep the others waiting
            log.exception("message.undecidable", message=message_id)
            decide.shelve(message_id, error, now)
    return len(ids)


def _judge(message_id: int, personas: Sequence[Persona], now: datetime) -> None:
    with transaction.atomic():
        rows = Message.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("feed")
        message = rows.filter(pk=message_id, decided_at__isnull=True).first()
        if message is None:
            return
        step("analyse.before")
        lines = max((size(persona, line(message)) for persona in personas), default=1)
        scene = analyse.analyse(message, message.feed, lines, now)
        step("decide.before")
        decide.decide(message, scene, personas, now)
        wake(Channel.DELIVER)
    step("decide.after")


def admit(now: datetime) -> int:
    """Replies that wait for their limits ask again. Returns how many were admitted."""
    waiting = Reply.objects.filter(state=ReplyState.WAITING, generation__isnull=True, permit_at__lte=now)
    ids = list(waiting.order_by("id").values_list("pk", flat=True)[:BATCH])
    personas: dict[int, Persona] = {p.id: p for p in read.personas()} if ids else {}
    admitted = 0
    for reply_id in ids:
        with transaction.atomic():
            rows = Reply.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("message")
            reply = rows.filter(pk=reply_id, state=ReplyState.WAITING, generation__isnull=True).first()
            if reply is not None:
                admitted += decide.admit(reply, personas[reply.entity_id], now)
    return admitted


def _forget(running: dict[int, asyncio.Task[None]], key: int, _: asyncio.Task[None]) -> None:
    running.pop(key, None)


class Listen:
    """Steps 1 to 4 of one engine."""

    def __init__(self) -> None:
        self._polls: dict[int, asyncio.Task[None]] = {}

    async def turn(self, context: Context) -> float:
        """Poll the feeds that are due, each beside the others, and decide about what is new."""
        now = clock.now()
        for target in await context.rows(poll.due, context.owner, now):
            if target.feed_id not in self._polls:
                task = context.spawn(self._poll(context, target), f"poll {target.name}")
                self._polls[target.feed_id] = task
                task.add_done_callback(partial(_forget, self._polls, target.feed_id))
        await context.rows(judge, clock.now())
        await context.rows(admit, clock.now())
        soonest = await context.rows(self._next)
        return min(IDLE_S, max(0.02, (soonest - clock.now()).total_seconds())) if soonest else IDLE_S

    async def _poll(self, context: Context, target: Target) -> None:
        step("poll.before")
        entities = frozenset(p.slug for p in await context.rows(read.personas)) if target.generation != "kv" else frozenset()
        try:
            haul = await poll.poll(Client(context.http), target, entities)
        except FeedError as error:
            await context.rows(poll.failed, target, error)
            return
        step("poll.after")
        try:
            fresh = await context.rows(ingest.ingest, haul, clock.now())
        except Exception as error:  # what cannot be stored must not be asked for again and again without a pause
            log.exception("feed.unstorable", feed=target.name)
            await context.rows(poll.failed, target, error)
            return
        if fresh or haul.more:
            step("ingest.after")
            context.ring(Channel.LISTEN)

    @staticmethod
    def _next() -> datetime | None:
        """When a feed is to be polled, or a limit asked again."""
        feeds = Feed.objects.filter(enabled=True, poll_at__gt=clock.now())
        refused = Reply.objects.filter(state=ReplyState.WAITING, generation__isnull=True, permit_at__isnull=False)
        moments = feeds.aggregate(at=Min("poll_at"))["at"], refused.aggregate(at=Min("permit_at"))["at"]
        return min((moment for moment in moments if moment), default=None)

    def renew(self, owner: int, now: datetime) -> None:
        """Rows: the right to poll stays with this engine."""
        Feed.objects.filter(lease_owner=owner).update(**taken(owner, now))

    async def finish(self, context: Context) -> None:
        """Let the running polls end, and leave the feeds to others."""
        if self._polls:
            _, late = await asyncio.wait(list(self._polls.values()), timeout=5)
            for task in late:
                task.cancel()
        await context.rows(lambda: Feed.objects.filter(lease_owner=context.owner).update(**FREE))


class Deliver:
    """Steps 10 to 12 of one engine."""

    def __init__(self) -> None:
        self._posts: dict[int, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()

    async def turn(self, context: Context) -> float:
        """Clean what is finished, post what is ready, look for what was posted, settle what is owed."""
        if not await context.rows(settle.anything):
            return IDLE_S
        now = clock.now()
        client = Client(context.http)
        cleaned = await context.rows(clean.clean, now)
        for letter in await context.rows(post.claim, context.owner, clock.now()):
            task = self._posts[letter.reply_id] = context.spawn(self._post(context, client, letter), f"post {letter.reply_id}")
            task.add_done_callback(partial(_forget, self._posts, letter.reply_id))
        for look in await context.rows(confirm.due, context.owner, clock.now()):
            self._beside(context.spawn(self._confirm(context, client, look), f"confirm {look.feed}"))
        for debt in await context.rows(settle.due, clock.now()):
            self._beside(context.spawn(self._settle(context, client, debt), f"settle {debt.message_id}"))
        if cleaned >= clean.BATCH:
            return 0.0
        soonest = await context.rows(self._next)
        return min(BUSY_S, max(0.02, (soonest - clock.now()).total_seconds())) if soonest else BUSY_S

    async def _post(self, context: Context, client: Client, letter: post.Letter) -> None:
        error = await post.post(client, letter)
        if error is None:
            await context.rows(post.accepted, letter, context.owner)
        else:
            await context.rows(post.refused, letter, error, context.owner)
        context.ring(Channel.DELIVER)

    async def _confirm(self, context: Context, client: Client, look: confirm.Look) -> None:
        seen = await confirm.confirm(client, look)
        await context.rows(confirm.confirmed, look, seen, context.owner)

    async def _settle(self, context: Context, client: Client, debt: settle.Due) -> None:
        await context.rows(settle.settled, debt, await settle.settle(client, debt))

    def _beside(self, task: asyncio.Task[None]) -> None:
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    @staticmethod
    def _next() -> datetime | None:
        """When the next post or look is due."""
        posting = Reply.objects.filter(state__in=[ReplyState.POSTING, ReplyState.READY], attempt_at__gt=clock.now())
        turns = (
            Feed.objects.filter(post_at__gt=clock.now()) if Reply.objects.filter(state=ReplyState.READY).exists() else Feed.objects.none()
        )
        moments = [
            posting.order_by("attempt_at").values_list("attempt_at", flat=True).first(),
            turns.order_by("post_at").values_list("post_at", flat=True).first(),
        ]
        return min((m for m in moments if m), default=None)

    def renew(self, owner: int, now: datetime) -> None:
        """Rows: the heartbeat of the posts in flight."""
        post.renew(owner, list(self._posts), now)

    async def finish(self, context: Context) -> None:
        """Let running posts end; what does not end in time is taken over by reading back."""
        running = [*self._posts.values(), *self._others]
        if running:
            _, late = await asyncio.wait(running, timeout=5)
            for task in late:
                task.cancel()
        await context.rows(post.release, context.owner)


def loops() -> tuple[Loop, Loop]:
    """The two loops of the conversation, for a new engine."""
    listen, deliver = Listen(), Deliver()
    return (
        Loop(name="listen", channel=Channel.LISTEN, turn=listen.turn, finish=listen.finish, renew=listen.renew),
        Loop(name="deliver", channel=Channel.DELIVER, turn=deliver.turn, pace_s=PACE_S, finish=deliver.finish, renew=deliver.renew),
    )
