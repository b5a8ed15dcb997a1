"""Step 11: post with a fixed id and timestamp, as often as needed.

The id and the time are written before the first attempt. Every later attempt first reads back whether the post is already there.
Where an attempt broke and nobody knows what became of it, a feed that would keep a second copy is only looked at until the post
must be lost: a KV backend may show it as late as a minute after it took it.

The global stop is asked for twice: when a letter is claimed, under the lock that whoever stops waits for, and again right before
its request is sent. What is stopped in between goes back as it was.
"""

import random
import secrets
import string
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, Q

from conversations import outbox
from conversations.address import endpoint
from conversations.feed.client import Client
from conversations.feed.errors import Ambiguous, FeedError, RateLimited, Rejected, Unreachable
from conversations.feed.values import Accepted, Endpoint, Generation, Outgoing
from conversations.logic.cadence import FIRST_LOOK, next_attempt
from conversations.logic.delivery import AT_ONCE
from conversations.logic.lifecycle import ReplyState
from conversations.models import Feed, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE, abandoned, living, taken
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

AWAY = timedelta(seconds=5)
"""The pause of a feed that could not be reached for a post."""

LONGEST_ID = 64

_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A reply on its way out. `attempt` counts from 1; `look`: it was on its way before, so it may be there already."""

    reply_id: int
    feed_id: int
    endpoint: Endpoint
    outgoing: Outgoing
    attempt: int
    look: bool


def claim(owner: int, now: datetime) -> list[Letter]:
    """The replies that this engine should post now, their leases taken, ids and timestamps written."""
    if outbox.stops().exists():
        return []
    letters: list[Letter] = []
    for feed_id in outbox.writable(now).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            letters.extend(_claim(feed_id, owner, now))
    return letters


def _claim(feed_id: int, owner: int, now: datetime) -> list[Letter]:
    wanted = (
        Q(message__feed_id=feed_id) & (Q(attempt_at__isnull=True) | Q(attempt_at__lte=now)) & (Q(state=ReplyState.READY) | outbox.free(now))
    )
    if not Reply.objects.filter(wanted).exists():
        return []
    feed = outbox.lock(feed_id, now)
    if feed is None or not outbox.may_write():
        return []
    traits = Generation(feed.spoken).traits
    if not traits.idempotent:
        begun = Reply.objects.filter(message__feed_id=feed_id, state=ReplyState.POSTING, accepted_at__isnull=True)
        outbox.doubt(begun.filter(abandoned(now, living())), now, "who was posting it is gone")
    busy = Reply.objects.filter(state=ReplyState.POSTING, accepted_at__isnull=True, lease_until__gt=now).exclude(wanted)
    if traits.serial:
        room = AT_ONCE - busy.filter(message__feed_id=feed_id).count()
    else:
        room = 1 - busy.filter(message__feed__in=outbox.neighbours(feed_id)).count()
    if room <= 0 or not Reply.objects.filter(wanted).exists() or not outbox.turn(feed, now):
        return []
    rows = Reply.objects.filter(wanted).select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("message")
    return [_letter(reply, feed, owner, now) for reply in rows.order_by("id")[:room]]


def _letter(reply: Reply, feed: Feed, owner: int, now: datetime) -> Letter:
    lease, look = taken(owner, now), reply.outgoing_id is not None
    if reply.state == ReplyState.READY:
        stamp = clock.millis(now)
        ident = reply.outgoing_id or f"{stamp}-{''.join(secrets.choice(_ALPHABET) for _ in range(9))}"
        moved(
            reply,
            ReplyState.READY,
            ReplyState.POSTING,
            outgoing_id=ident,
            outgoing_timestamp=reply.outgoing_timestamp or stamp,
            attempts=reply.attempts + 1,
            **lease,
        )
    else:
        Reply.objects.filter(pk=reply.pk, state=ReplyState.POSTING).update(attempts=F("attempts") + 1, **lease)
        reply.attempts += 1
    assert reply.outgoing_id is not None
    assert reply.outgoing_timestamp is not None
    return Letter(
        reply_id=reply.pk,
        feed_id=feed.pk,
        endpoint=endpoint(feed),
        attempt=reply.attempts,
        look=look,
        outgoing=Outgoing(
            id=reply.outgoing_id,
            timestamp=reply.outgoing_timestamp,
            text=reply.text,
            username=reply.username,
            color=reply.color,
            domain=feed.domain,
            reply_to=reply.message.remote_id,
        ),
    )


def cleared(letter: Letter, owner: int) -> bool:
    """Whether a letter may still go: its lease holds, its feed is on, and nobody has stopped posting. Ask right before sending it."""
    mine = Reply.objects.filter(pk=letter.reply_id, state=ReplyState.POSTING, accepted_at__isnull=True)
    mine = mine.filter(lease_owner=owner, lease_until__gt=clock.now(), message__feed__enabled=True, message__feed__dry_run=False)
    return mine.filter(~Exists(outbox.stops())).exists()


async def post(client: Client, letter: Letter, clear: Callable[[], Awaitable[bool]]) -> Accepted | FeedError | None:
    """Hand one letter over: the feed's receipt, what went wrong, or None if it was not cleared; then nothing was sent.

    One that was on its way before is looked for first. `clear` says whether it may go, see `cleared`.
    """
    step("post.before")
    sent = letter.outgoing
    try:
        if letter.look and sent.id in await client.visible(letter.endpoint, [(sent.id, sent.timestamp)]):
            return Accepted(id=sent.id, duplicate=True, timestamp=sent.timestamp)
        if not await clear():
            return None
        step("post.cleared")
        receipt = await client.post(letter.endpoint, sent)
    except FeedError as error:
        return error
    step("post.after")
    return receipt


def told(letter: Letter, outcome: Accepted | FeedError | None, owner: int) -> None:
    """Record how it went."""
    if outcome is None:
        _withheld(letter, owner)
    elif isinstance(outcome, FeedError):
        _refused(letter, outcome, owner)
    else:
        accepted(letter, outcome, owner)


def accepted(letter: Letter, receipt: Accepted, owner: int) -> bool:
    """The feed took it: from now on it is looked for until it shows. Returns whether it was still ours.

    A backend that gave it an id or a time of its own is believed: under ours it would be looked for in vain, and posted again.
    """
    now, sent = clock.now(), letter.outgoing
    rows = Reply.objects.filter(pk=letter.reply_id, state=ReplyState.POSTING, lease_owner=owner)
    with transaction.atomic():
        done = rows.update(accepted_at=now, attempt_at=now + FIRST_LOOK, **FREE)
        fits = 0 < len(receipt.id) <= LONGEST_ID and not Reply.objects.filter(outgoing_id=receipt.id).exists()
        if done and receipt.id != sent.id and fits:
            Reply.objects.filter(pk=letter.reply_id).update(
                outgoing_id=receipt.id, outgoing_timestamp=min(sent.timestamp, receipt.timestamp)
            )
            text = f"The feed keeps the post {sent.id} as {receipt.id}"
            say("reply.renamed", text, subject=f"reply:{letter.reply_id}", level=Level.WARNING)
        elif done and receipt.timestamp < sent.timestamp:
            Reply.objects.filter(pk=letter.reply_id).update(outgoing_timestamp=receipt.timestamp)
        wake(Channel.DELIVER)
        return bool(done)


def _withheld(letter: Letter, owner: int) -> None:
    """Nothing was sent: it waits as before, and that was no attempt."""
    rows = Reply.objects.filter(pk=letter.reply_id, state=ReplyState.POSTING, lease_owner=owner, accepted_at__isnull=True)
    rows.update(attempts=F("attempts") - 1, attempt_at=None, **FREE)


def _refused(letter: Letter, error: FeedError, owner: int) -> None:
    """It did not go, or nobody knows: again later, or never, with the reason."""
    now = clock.now()
    rows = Reply.objects.filter(pk=letter.reply_id, state=ReplyState.POSTING, lease_owner=owner)
    with transaction.atomic():
        if isinstance(error, RateLimited | Unreachable):  # nothing is stored: that is no attempt, and all others would fare the same
            pause = timedelta(seconds=error.retry_after_s + 1) if isinstance(error, RateLimited) else AWAY
            outbox.rest(outbox.neighbours(letter.feed_id), now + pause)
            rows.update(attempts=F("attempts") - 1, attempt_at=now + pause, reason=str(error), **FREE)
            if isinstance(error, RateLimited):
                text = f"The feed wants silence for {error.retry_after_s:.0f} s"
                say("feed.limited", text, subject=f"feed:{letter.feed_id}", level=Level.WARNING)
            return
        if isinstance(error, Ambiguous) and not letter.endpoint.generation.traits.idempotent:
            outbox.doubt(rows, now, str(error))
            wake(Channel.DELIVER)
            return
        again = None if isinstance(error, Rejected) else next_attempt(now, letter.attempt, random.random)
        if again:
            rows.update(attempt_at=again, reason=str(error), **FREE)
            text = f"Posting failed, again later: {error}"
            say("reply.delayed", text, subject=f"reply:{letter.reply_id}", level=Level.WARNING, code=error.code)
            return
        reply = rows.select_for_update(no_key=True, of=("self",)).first()
        if reply is not None:
            how = {"code": error.code, "status": error.status, "body": error.body, "attempt": letter.attempt}
            outbox.ended(reply, ReplyState.FAILED, str(error), now, verdict={**reply.verdict, "delivery": how})


def release(owner: int) -> None:
    """At the end of an engine: what it had begun to post or looked for may be taken over at once."""
    begun = Reply.objects.filter(lease_owner=owner, state=ReplyState.POSTING)
    begun.filter(accepted_at__isnull=False).update(**FREE)
    begun.update(lease_until=clock.now() - timedelta(seconds=1))


def renew(owner: int, replies: Sequence[int], now: datetime) -> None:
    """Renew the leases of the posts that are really in flight."""
    Reply.objects.filter(lease_owner=owner, pk__in=replies).update(**taken(owner, now))
