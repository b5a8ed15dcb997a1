"""What all who deliver share: whether a feed may be written to now, whose turn it is, and how an answer ends without a post."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from conversations.feed.values import Generation
from conversations.logic.delivery import BURST, silent_until, site
from conversations.logic.lifecycle import ReplyState
from conversations.models import ConversationPolicy, Feed, Reply
from entities import spend
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import FREE, POSTING, abandoned, beside, living
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake


def stops() -> QuerySet[ConversationPolicy]:
    """The global stop, if it is pulled: one row or none."""
    return ConversationPolicy.objects.filter(pk=1, stopped=True)


def may_write() -> bool:
    """Whether anything may be written to feeds; until the running transaction ends, nobody can stop it."""
    beside(POSTING)
    return not stops().exists()


def writable(now: datetime) -> QuerySet[Feed]:
    """The feeds that may be written to at this moment, the global stop apart."""
    if settings.DRY_RUN:
        return Feed.objects.none()
    known = Feed.objects.filter(enabled=True, dry_run=False).exclude(generation="auto", detected="")
    return known.filter(Q(post_at__isnull=True) | Q(post_at__lte=now))


def neighbours(feed_id: int) -> list[int]:
    """The feeds at the same backend, this one among them: it counts and interleaves the posts to all of them together."""
    sites = {pk: site(url) for pk, url in Feed.objects.values_list("pk", "url")}
    return sorted(pk for pk, where in sites.items() if where == sites.get(feed_id))


def lock(feed_id: int, now: datetime) -> Feed | None:
    """A feed, its row and those of its neighbours locked, always in the same order; None if it may not be written to after all."""
    ids = neighbours(feed_id)
    list(Feed.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))
    return writable(now).filter(pk=feed_id).first()


def turn(feed: Feed, now: datetime) -> bool:
    """Take the next turn of a locked feed; False while a KV backend wants silence. One that serialises by itself gives any number."""
    if Generation(feed.spoken).traits.serial:
        return True
    ids = neighbours(feed.pk)
    if not feed.exempt:
        counted = Reply.objects.filter(message__feed__in=ids, message__feed__exempt=False, accepted_at__isnull=False)
        moments = counted.order_by("-accepted_at").values_list("accepted_at", flat=True)[: BURST + 1]
        until = silent_until([moment for moment in moments if moment])
        if until and until > now:
            Feed.objects.filter(pk=feed.pk).update(post_at=until)
            return False
    rest(ids, now + timedelta(seconds=feed.post_interval_s))
    return True


def next_at() -> datetime | None:
    """When the next post or look is due."""
    now = clock.now()
    due = Reply.objects.filter(state__in=[ReplyState.POSTING, ReplyState.READY], attempt_at__gt=now).order_by("attempt_at")
    moments = [due.values_list("attempt_at", flat=True).first()]
    if Reply.objects.filter(state=ReplyState.READY).exists():
        moments.append(Feed.objects.filter(post_at__gt=now).order_by("post_at").values_list("post_at", flat=True).first())
    return min((moment for moment in moments if moment), default=None)


def rest(feed_ids: Iterable[int], until: datetime) -> None:
    """Write nothing to these feeds before `until`, nor before what was agreed already."""
    ids = list(Feed.objects.select_for_update(no_key=True).filter(pk__in=list(feed_ids)).order_by("pk").values_list("pk", flat=True))
    Feed.objects.filter(pk__in=ids).update(post_at=Greatest(Coalesce("post_at", until), until))


def free(now: datetime) -> Q:
    """The posts that were begun, that no feed has taken, and that are in nobody's hands."""
    return Q(state=ReplyState.POSTING, accepted_at__isnull=True) & (Q(lease_owner__isnull=True) | abandoned(now, living()))


def doubt(posts: QuerySet[Reply], now: datetime, why: str) -> None:
    """Nobody knows whether these went: they are looked for as if the feed had taken them, and posted again only if they are lost."""
    posts.update(accepted_at=now, attempt_at=now, reason=why, **FREE)


def ended(reply: Reply, state: ReplyState, why: str, now: datetime, **fields: Any) -> bool:
    """End an answer without a post: its permit comes back, and people are told. Returns whether it was we who ended it."""
    if not moved(reply, reply.state, state, ended_at=now, reason=why, **FREE, **fields):
        return False
    if reply.permit_id:
        spend.refund(reply.permit_id, now)
    failed = state is ReplyState.FAILED
    text = f"{reply.username} {'could not post' if failed else 'does not post'}: {why}"
    say(f"reply.{state.value}", text, subject=f"reply:{reply.pk}", level=Level.ERROR if failed else Level.WARNING)
    wake(Channel.DELIVER)
    return True
