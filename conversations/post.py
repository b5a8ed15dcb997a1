"""Step 11: post with a fixed id and timestamp, as often as needed.

The id and the time are written before the first attempt. Every later attempt first reads back whether the post is already there.
Where an attempt broke and nobody knows what became of it, a feed that would keep a second copy is only looked at until the post
must be lost: a KV backend may show it as late as a minute after it took it.
"""

import random
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet

from conversations.address import endpoint
from conversations.feed.client import Client
from conversations.feed.errors import Ambiguous, FeedError, RateLimited, Rejected, Unreachable
from conversations.feed.values import Endpoint, Generation, Outgoing
from conversations.logic.cadence import FIRST_LOOK, next_attempt
from conversations.logic.delivery import AT_ONCE, BURST, silent_until
from conversations.logic.lifecycle import ReplyState
from conversations.models import Feed, Reply
from entities import spend
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE, abandoned, living, taken
from swwbot_site.lib.transitions import move, moved
from swwbot_site.lib.wake import Channel, wake

LATE = timedelta(minutes=10)
"""So long after its deadline a reply that could not be posted is given up."""

AWAY = timedelta(seconds=5)
"""The pause of a feed that could not be reached for a post."""

_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A reply on its way out. `attempt` counts from 1."""

    reply_id: int
    feed_id: int
    endpoint: Endpoint
    outgoing: Outgoing
    attempt: int


def claim(owner: int, now: datetime) -> list[Letter]:
    """The replies that this engine should post now, their leases taken, ids and timestamps written."""
    feeds = (
        Feed.objects.filter(enabled=True, dry_run=False)
        .exclude(generation="auto", detected="")
        .filter(Q(post_at__isnull=True) | Q(post_at__lte=now))
    )
    letters: list[Letter] = []
    for feed_id in feeds.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            letters.extend(_claim(feed_id, owner, now))
    return letters


def _open(feed_id: int, now: datetime) -> Q:
    """What is to be posted: ready, or begun and due again."""
    again = Q(state=ReplyState.POSTING, accepted_at__isnull=True) & (Q(lease_owner__isnull=True) | abandoned(now, living()))
    return Q(message__feed_id=feed_id) & (Q(attempt_at__isnull=True) | Q(attempt_at__lte=now)) & (Q(state=ReplyState.READY) | again)


def _claim(feed_id: int, owner: int, now: datetime) -> list[Letter]:
    wanted = _open(feed_id, now)
    if not Reply.objects.filter(wanted).exists():
        return []
    feed = Feed.objects.select_for_update(no_key=True).get(pk=feed_id)
    if feed.post_at and feed.post_at > now:
        return []
    serial = Generation(feed.spoken).traits.serial
    if not Generation(feed.spoken).traits.idempotent:
        begun = Reply.objects.filter(message__feed_id=feed_id, state=ReplyState.POSTING, accepted_at__isnull=True)
        _doubt(begun.filter(abandoned(now, living())), now, "who was posting it is gone")
    busy = Reply.objects.filter(message__feed_id=feed_id, state=ReplyState.POSTING, accepted_at__isnull=True, lease_until__gt=now)
    room = (AT_ONCE if serial else 1) - busy.exclude(wanted).count()
    if room <= 0:
        return []
    if not serial and not _paced(feed, now):
        return []
    rows = Reply.objects.filter(wanted).select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("message")
    chosen = list(rows.order_by("id")[:room])
    return [_letter(reply, feed, owner, now) for reply in chosen if not _stale(reply, now)]


def _stale(reply: Reply, now: datetime) -> bool:
    """Whether a reply is so late that nobody would know what it answers; then it ends here."""
    if reply.deadline + LATE > now:
        return False
    end = ReplyState.DROPPED if reply.state == ReplyState.READY else ReplyState.FAILED
    if moved(reply, reply.state, end, ended_at=now, reason="the feed could not be posted to until it was far too late", **FREE):
        if reply.permit_id:
            spend.refund(reply.permit_id, now)
        say(f"reply.{end.value}", f"{reply.username}: {reply.reason}", subject=f"reply:{reply.pk}", level=Level.WARNING)
        wake(Channel.DELIVER)
    return True


def _doubt(posts: QuerySet[Reply], now: datetime, why: str) -> None:
    """Nobody knows whether these went: they are looked for as if the feed had taken them, and posted again only if they are lost."""
    posts.update(accepted_at=now, attempt_at=now, reason=why, **FREE)


def _paced(feed: Feed, now: datetime) -> bool:
    """Take the next turn of a KV backend; False if it wants silence."""
    if not feed.exempt:
        recent = Reply.objects.filter(message__feed=feed, accepted_at__isnull=False).order_by("-accepted_at")
        until = silent_until([t for t in recent.values_list("accepted_at", flat=True)[: BURST + 1] if t])
        if until and until > now:
            Feed.objects.filter(pk=feed.pk).update(post_at=until)
            return False
    Feed.objects.filter(pk=feed.pk).update(post_at=now + timedelta(seconds=feed.post_interval_s))
    return True


def _letter(reply: Reply, feed: Feed, owner: int, now: datetime) -> Letter:
    lease = taken(owner, now)
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


async def post(client: Client, letter: Letter) -> FeedError | None:
    """Hand one letter over; None if the feed has it now. A second attempt looks first."""
    step("post.before")
    try:
        if letter.attempt > 1 and letter.outgoing.id in await client.visible(
            letter.endpoint, [(letter.outgoing.id, letter.outgoing.timestamp)]
        ):
            return None
        await client.post(letter.endpoint, letter.outgoing)
    except FeedError as error:
        return error
    step("post.after")
    return None


def accepted(letter: Letter, owner: int) -> bool:
    """The feed took it: from now on it is looked for until it shows."""
    now = clock.now()
    rows = Reply.objects.filter(pk=letter.reply_id, state=ReplyState.POSTING, lease_owner=owner)
    with transaction.atomic():
        done = rows.update(accepted_at=now, attempt_at=now + FIRST_LOOK, **FREE)
        wake(Channel.DELIVER)
        return bool(done)


def refused(letter: Letter, error: FeedError, owner: int) -> None:
    """It did not go, or nobody knows: again later, or never, with the reason."""
    now = clock.now()
    rows = Reply.objects.filter(pk=letter.reply_id, lease_owner=owner)
    with transaction.atomic():
        if isinstance(error, RateLimited):
            wait = now + timedelta(seconds=error.retry_after_s + 1)
            Feed.objects.filter(pk=letter.feed_id).update(post_at=wait)
            rows.filter(state=ReplyState.POSTING).update(attempts=F("attempts") - 1, attempt_at=wait, reason=str(error), **FREE)
            say(
                "feed.limited",
                f"The feed wants silence for {error.retry_after_s:.0f} s",
                subject=f"feed:{letter.feed_id}",
                level=Level.WARNING,
            )
            return
        if isinstance(error, Ambiguous) and not letter.endpoint.generation.traits.idempotent:
            _doubt(rows.filter(state=ReplyState.POSTING), now, str(error))
            wake(Channel.DELIVER)
            return
        if isinstance(error, Unreachable):  # nothing was sent: that is no attempt, and all others would fare the same
            Feed.objects.filter(pk=letter.feed_id).update(post_at=now + AWAY)
            rows.filter(state=ReplyState.POSTING).update(attempts=F("attempts") - 1, attempt_at=now + AWAY, reason=str(error), **FREE)
            return
        again = None if isinstance(error, Rejected) else next_attempt(now, letter.attempt, random.random)
        if again:
            rows.filter(state=ReplyState.POSTING).update(attempt_at=again, reason=str(error), **FREE)
            say(
                "reply.delayed",
                f"Posting failed, again later: {error}",
                subject=f"reply:{letter.reply_id}",
                level=Level.WARNING,
                code=error.code,
            )
            return
        reply = Reply.objects.select_for_update(no_key=True, of=("self",)).get(pk=letter.reply_id)
        if move(rows, ReplyState.POSTING, ReplyState.FAILED, ended_at=now, reason=str(error), **FREE):
            if reply.permit_id:
                spend.refund(reply.permit_id, now)
            say(
                "reply.failed", f"{reply.username} could not post: {error}", subject=f"reply:{reply.pk}", level=Level.ERROR, code=error.code
            )
        wake(Channel.DELIVER)


def release(owner: int) -> None:
    """At the end of an engine: what it had begun to post or looked for may be taken over at once."""
    begun = Reply.objects.filter(lease_owner=owner, state=ReplyState.POSTING)
    begun.filter(accepted_at__isnull=False).update(**FREE)
    begun.update(lease_until=clock.now() - timedelta(seconds=1))


def renew(owner: int, replies: Sequence[int], now: datetime) -> None:
    """Renew the leases of the posts that are really in flight."""
    Reply.objects.filter(lease_owner=owner, pk__in=replies).update(**taken(owner, now))
