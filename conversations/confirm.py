"""Step 12: read back what was posted; settle the permit; announce. What does not show is posted again, unchanged."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from conversations import outbox
from conversations.address import endpoint
from conversations.feed.client import Client
from conversations.feed.errors import FeedError, RateLimited
from conversations.feed.values import Endpoint
from conversations.logic.cadence import ATTEMPTS, next_look
from conversations.logic.delivery import too_late
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from entities import spend
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE, abandoned, living, taken
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

BLIND_S = 5.0
"""The pause after a look that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Posts of one feed to look for: (reply, outgoing id, timestamp in ms)."""

    feed: str
    endpoint: Endpoint
    posts: Sequence[tuple[int, str, int]]


def due(owner: int, now: datetime) -> list[Look]:
    """The accepted posts that should be looked for now, one look per feed. A feed that is switched off is not asked."""
    waiting = Reply.objects.filter(state=ReplyState.POSTING, accepted_at__isnull=False, attempt_at__lte=now, message__feed__enabled=True)
    if not waiting.exists():
        return []
    with transaction.atomic():
        rows = waiting.filter(Q(lease_owner__isnull=True) | abandoned(now, living()))
        rows = rows.select_for_update(no_key=True, of=("self",), skip_locked=True).select_related("message__feed")
        found: dict[int, list[Reply]] = defaultdict(list)
        for reply in rows.order_by("id")[:500]:
            found[reply.message.feed_id].append(reply)
        Reply.objects.filter(pk__in=[r.pk for replies in found.values() for r in replies]).update(**taken(owner, now))
    return [
        Look(
            feed=replies[0].message.feed.name,
            endpoint=endpoint(replies[0].message.feed),
            posts=[(r.pk, r.outgoing_id, r.outgoing_timestamp) for r in replies if r.outgoing_id and r.outgoing_timestamp],
        )
        for replies in found.values()
    ]


async def confirm(client: Client, look: Look) -> set[str] | FeedError:
    """Which of the posts the feed shows."""
    step("confirm.before")
    try:
        return await client.visible(look.endpoint, [(ident, stamp) for _, ident, stamp in look.posts])
    except FeedError as error:
        return error


def confirmed(look: Look, seen: set[str] | FeedError, owner: int) -> int:
    """Settle what shows; look again for the rest, or post it again. Returns how many are settled."""
    now = clock.now()
    settled = 0
    with transaction.atomic():
        rows = Reply.objects.filter(pk__in=[pk for pk, _, _ in look.posts], lease_owner=owner, state=ReplyState.POSTING)
        for reply in rows.select_for_update(no_key=True, of=("self",)).select_related("message__feed").order_by("id"):
            if not isinstance(seen, FeedError) and reply.outgoing_id in seen:
                settled += _posted(reply, now)
                continue
            accepted_at = reply.accepted_at
            assert accepted_at is not None
            limit = reply.message.feed.lost_after_s
            again = next_look(accepted_at, now, limit)
            if isinstance(seen, FeedError):  # we could not look: that says nothing about the post
                pause = seen.retry_after_s if isinstance(seen, RateLimited) else BLIND_S
                again = max(again or now, now + timedelta(seconds=pause))
            if again:
                Reply.objects.filter(pk=reply.pk).update(attempt_at=again, **FREE)
            elif reply.attempts >= ATTEMPTS:
                outbox.ended(reply, ReplyState.FAILED, f"{look.feed} took it {reply.attempts} times and never showed it", now)
            elif reply.deadline <= too_late(now):
                why = f"{look.feed} does not show it, and it is too late to post it again"
                outbox.ended(reply, ReplyState.FAILED, why, now)
            else:
                Reply.objects.filter(pk=reply.pk).update(accepted_at=None, attempt_at=now, **FREE)
                say(
                    "reply.lost",
                    f"{look.feed} lost the post of {reply.username}; it is posted again",
                    subject=f"reply:{reply.pk}",
                    level=Level.WARNING,
                )
        wake(Channel.DELIVER)
    step("confirm.after")
    return settled


def _posted(reply: Reply, now: datetime) -> int:
    if not moved(reply, ReplyState.POSTING, ReplyState.POSTED, ended_at=now, reason="", **FREE):
        return 0
    if reply.permit_id:
        spend.spend(reply.permit_id, reply.accepted_at or now)
    seconds = (now - reply.decided_at).total_seconds()
    say(
        "reply.posted",
        f"{reply.username} answered {reply.message.username or 'anon'} after {seconds:.1f} s: {reply.text}",
        subject=f"reply:{reply.pk}",
        outgoing=reply.outgoing_id,
        to=reply.message.remote_id,
        seconds=round(seconds, 2),
    )
    return 1
