"""The way of a message, from the feed to the answer in it. Who reads only this file and cluster/serve.py knows the system.

::

    listen    1 poll      ask the feed what is new since the cursor             conversations/poll.py
              2 ingest    keep each message once                                conversations/ingest.py
              3 analyse   what surrounds it                                     conversations/analyse.py
              4 decide    which entities answer and why                         conversations/decide.py
                admit     who waits for its limits asks again                   conversations/admit.py
    serve     5 … 9       the generation                                        cluster/serve.py
    deliver  10 clean     think tags, labels, stop lists, length, repeats       conversations/clean.py
                ensemble  who of several voices is asked next                   conversations/ensemble.py
                expire    what is too late to be posted ends                    conversations/expire.py
             11 post      with a fixed id and timestamp, as often as needed     conversations/post.py
             12 confirm   read it back; settle the permit; announce             conversations/confirm.py
                settle    tell the feed's own queue                             conversations/settle.py
                reap      what nobody works at any more ends                    conversations/reap.py
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import structlog
from django.db import InterfaceError, OperationalError, transaction

from conversations import admit, analyse, clean, company, confirm, decide, ensemble, expire, ingest, outbox, poll, post, reap, settle
from conversations.agenda import Agenda
from conversations.feed.client import Client
from conversations.feed.errors import FeedError
from conversations.logic.cast import Cast
from conversations.logic.haul import Target
from conversations.logic.lifecycle import Debt
from conversations.models import Feed, Message
from conversations.stage import Sight
from conversations.windows import Windows, talks
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE, taken
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel, wake

log = structlog.get_logger(__name__)

IDLE_S = 10.0
"""How often each loop looks by itself while nothing happens: whoever makes work rings, and what has a time is known beforehand."""

BUSY_S = 1.0
"""How often while there is something to deliver."""

PACE_S = 0.05
"""The least time between two rounds of delivering, however many answers come back."""

TOGETHER = 10
"""Messages that are decided in one transaction, if nobody answers them."""


def judge(now: datetime) -> int:
    """Steps 3 and 4 for every new message that is ready to be decided. Returns how many.

    What they share is looked up once: who may answer, and the lines of their conversations. Those of a feed that nobody answers are
    decided a few in one transaction; who is answered or calls somebody is the last of his, so that none locks more than one decision needs.
    """
    ids = decide.undecided()
    if not ids:
        return 0
    known = talks(ids)
    cast, windows = company.cast(), Windows(known.values())
    for feed_id in dict.fromkeys(feed_id for feed_id, _ in known.values()):
        left = [pk for pk in ids if pk in known and known[pk][0] == feed_id]
        while left:
            left = left[_some(left[:TOGETHER], cast, windows, now) :]
    return len(ids)


def _some(ids: Sequence[int], cast: Cast, windows: Windows, now: datetime) -> int:
    """Decide the first of these messages, or several. Returns how many are done with."""
    try:
        return _judge(ids, cast, windows, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # one message that cannot be decided must not keep the others waiting
        if len(ids) > 1:
            return sum(_some([pk], cast, windows, now) for pk in ids)
        log.exception("message.undecidable", message=ids[0])
        decide.shelve(ids[0], error, now)
        return 1


def _judge(ids: Sequence[int], cast: Cast, windows: Windows, now: datetime) -> int:
    done, sight, owed = len(ids), Sight(), False
    with transaction.atomic():
        rows = Message.objects.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("feed")
        for message in rows.filter(pk__in=ids, decided_at__isnull=True).order_by("timestamp", "id"):
            step("analyse.before")
            scene = analyse.analyse(message, message.feed, cast, now, windows, sight)
            step("decide.before")
            answered = decide.decide(message, scene, cast, now)
            owed = owed or bool(answered) or message.state == Debt.OWED
            if answered or scene.signals.mentions or scene.signals.triggers:
                done = ids.index(message.pk) + 1
                break
        if owed:
            wake(Channel.DELIVER)
    step("decide.after")
    return done


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
                task = self._polls[target.feed_id] = context.spawn(self._poll(context, target), f"poll {target.name}")
                task.add_done_callback(partial(_forget, self._polls, target.feed_id))
        soonest = await context.rows(self._work, context.owner, anew=context.heard(Channel.LIMITS))
        return min(IDLE_S, max(0.02, (soonest - clock.now()).total_seconds())) if soonest else IDLE_S

    async def _poll(self, context: Context, target: Target) -> None:
        """Poll a feed and keep what is new. Only then is it known when the next poll is due: the loop looks again."""
        await self._take(context, target)
        context.ring(Channel.LISTEN)

    @staticmethod
    async def _take(context: Context, target: Target) -> None:
        step("poll.before")
        entities = frozenset((await context.rows(company.cast)).by_slug) if target.generation != "kv" else frozenset()
        try:
            haul = await poll.poll(Client(context.http), target, entities)
        except FeedError as error:
            await context.rows(poll.failed, target, error)
            return
        step("poll.after")
        step("ingest.before")
        try:
            fresh = await context.rows(ingest.ingest, haul, clock.now())
        except Exception as error:  # what cannot be stored must not be asked for again and again without a pause
            log.exception("feed.unstorable", feed=target.name)
            await context.rows(poll.failed, target, error)
            return
        if fresh or haul.more:
            step("ingest.after")

    def _work(self, owner: int, *, anew: bool = False) -> datetime | None:
        """Decide and admit, if there is anything to. When a feed is to be polled, a limit asked again, or a decision tried again."""
        todo = Agenda.of(owner, clock.now(), list(self._polls))
        if todo.messages:
            judge(clock.now())
        if todo.messages or todo.line:
            admit.admit(clock.now(), anew=anew)
            todo = Agenda.of(owner, clock.now(), list(self._polls))
        return min((moment for moment in (todo.at, admit.next_at() if todo.line else None) if moment), default=None)

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
        spoken = await context.rows(ensemble.advance, now)
        await context.rows(expire.expire, now)
        for letter in await context.rows(post.claim, context.owner, clock.now()):
            task = self._posts[letter.reply_id] = context.spawn(self._post(context, client, letter), f"post {letter.reply_id}")
            task.add_done_callback(partial(_forget, self._posts, letter.reply_id))
        for look in await context.rows(confirm.due, context.owner, clock.now()):
            self._beside(context.spawn(self._confirm(context, client, look), f"confirm {look.feed}"))
        for debt in await context.rows(settle.due, clock.now()):
            self._beside(context.spawn(self._settle(context, client, debt), f"settle {debt.message_id}"))
        if cleaned >= clean.BATCH or spoken >= ensemble.BATCH:
            return 0.0
        soonest = await context.rows(outbox.next_at)
        return min(BUSY_S, max(0.02, (soonest - clock.now()).total_seconds())) if soonest else BUSY_S

    async def _post(self, context: Context, client: Client, letter: post.Letter) -> None:
        outcome = await post.post(client, letter, partial(context.rows, post.cleared, letter, context.owner))
        await context.rows(post.told, letter, outcome, context.owner)
        context.ring(Channel.DELIVER)

    async def _confirm(self, context: Context, client: Client, look: confirm.Look) -> None:
        seen = await confirm.confirm(client, look)
        await context.rows(confirm.confirmed, look, seen, context.owner)

    async def _settle(self, context: Context, client: Client, debt: settle.Due) -> None:
        await context.rows(settle.settled, debt, await settle.settle(client, debt))

    def _beside(self, task: asyncio.Task[None]) -> None:
        self._others.add(task)
        task.add_done_callback(self._others.discard)

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
        Loop(
            name="deliver",
            channel=Channel.DELIVER,
            turn=deliver.turn,
            pace_s=PACE_S,
            finish=deliver.finish,
            renew=deliver.renew,
            reap=reap.Reaper(),
        ),
    )
