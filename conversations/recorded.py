"""A stretch of a feed as its rows keep it: what was said and answered, and what came before that still has a say in it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q, QuerySet

from conversations import stage
from conversations.address import dry, line
from conversations.logic.lifecycle import Debt
from conversations.logic.recording import Given, Heard, House, Other, Recording
from conversations.models import ConversationPolicy, Feed, Message, Reply
from conversations.models import Room as Place
from entities import read
from swwbot_site.lib.errors import BotError, Fault

SURROUNDING: Final = 2000
"""Messages before the stretch that windows, runs and turns are made of."""

SPAN: Final = timedelta(days=2)
"""How far back permits are kept in any case; longer limits reach further."""


class NoFeed(BotError):
    """There is no such feed, or it is not said which of several is meant."""

    code = "no-feed"
    fault = Fault.REQUEST


def feed(name: str = "") -> Feed:
    """The feed of this name, or the only one there is. Raises NoFeed."""
    rows = list(Feed.objects.order_by("name"))
    names = ", ".join(row.name for row in rows) or "none; FEED_URL or the admin make one"
    if name:
        found = [row for row in rows if row.name == name]
        if not found:
            raise NoFeed(f"There is no feed {name!r}. There are: {names}.")
        return found[0]
    if len(rows) != 1:
        raise NoFeed(f"Which feed? Name it with --feed. There are: {names}.")
    return rows[0]


def house(row: Feed) -> House:
    """A feed's address and rules."""
    domains = Place.objects.filter(feed=row).values_list("domain", flat=True)
    return House(
        name=row.name,
        url=row.url,
        domain=row.domain,
        window_gap_s=row.window_gap_s,
        max_text=row.max_text,
        require_human_s=ConversationPolicy.current().require_human_s,
        manners=stage.manners(row, {}),
        rooms={domain: stage.manners(row, stage.place(row, domain)) for domain in domains},
    )


def recorded(row: Feed, since: datetime | None, until: datetime | None, most: int | None, rules: read.Rules) -> Recording:
    """What reached us of a feed from `since` to `until`, at most `most` messages of it (None: all), with what surrounds it."""
    rows = Message.objects.filter(feed=row).order_by("id")
    stretch = rows.filter(received_at__gte=since) if since else rows
    stretch = stretch.filter(received_at__lte=until) if until else stretch
    judged = list(stretch[:most] if most else stretch)
    if not judged:
        return Recording(house=house(row), heard=())
    before = list(rows.filter(id__lt=judged[0].pk).order_by("-id")[:SURROUNDING])[::-1]
    everything = [*before, *judged]
    known = {one.pk for one in judged}
    heard = tuple(_heard(one, row, judged=one.pk in known) for one in everything)
    replies = list(_replies(row, everything))
    first, last = judged[0].received_at, max(one.decided_at or one.received_at for one in judged)
    return Recording(
        house=house(row), heard=heard, given=tuple(_given(one) for one in replies), others=_others(row, replies, known, first, last, rules)
    )


def _replies(row: Feed, messages: Sequence[Message]) -> QuerySet[Reply]:
    """Our answers to these messages, and whatever else was decided in their time."""
    begin, end = messages[0].received_at, max(one.decided_at or one.received_at for one in messages)
    rows = Reply.objects.filter(message__feed=row).filter(
        Q(message__in=[one.pk for one in messages]) | Q(decided_at__gte=begin, decided_at__lte=end)
    )
    return rows.select_related("message", "entity", "permit", "generation").order_by("decided_at", "id")


def _heard(row: Message, feed: Feed, *, judged: bool) -> Heard:
    """A message; its debt to the feed's queue may have been settled since, but it was ours."""
    is_open = stage.opened(row, feed) if row.state == Debt.NONE or dry(feed) else (True, "")
    return Heard(
        line=line(row), arrived=row.received_at, decided=row.decided_at, judged=judged, opened=is_open, why=str(row.verdict.get("why", ""))
    )


def _given(row: Reply) -> Given:
    permit = row.permit
    number: Any = row.verdict.get
    return Given(
        message=row.message.remote_id,
        conversation=row.conversation,
        slug=row.entity.slug,
        mode=row.mode,
        state=row.state,
        decided=row.decided_at,
        reserved=permit.reserved_at if permit else None,
        settled=permit.settled_at if permit else None,
        spent=permit is not None and permit.state == "spent",
        ready=_ready(row),
        approved=row.judged_at,
        accepted=row.accepted_at,
        ended=row.ended_at,
        outgoing_id=row.outgoing_id or "",
        username=row.username,
        text=row.text,
        reason=row.reason,
        chance=number("chance"),
        dice=number("dice"),
    )


def _ready(row: Reply) -> datetime | None:
    """When it had its text. Approval moves `ready_at`: then it is when its model had written it."""
    approved = row.judged_at is not None and row.ready_at == row.judged_at
    return row.generation.ended_at if approved and row.generation else row.ready_at


def _others(row: Feed, replies: Sequence[Reply], known: set[int], first: datetime, last: datetime, rules: read.Rules) -> tuple[Other, ...]:
    """Permits of everything that no verdict of the replay decides about."""
    spans = [rule.span for some in (*rules.own.values(), rules.common) for rule in some]
    own = {one.permit_id for one in replies if one.message_id in known and one.mode in ("directed", "ambient")}
    return tuple(
        Other(slug=post.slug, reserved=post.reserved, settled=post.settled, spent=post.spent, here=post.feed == row.pk)
        for post in read.posts(first - max([SPAN, *spans]), last)
        if post.id not in own
    )
