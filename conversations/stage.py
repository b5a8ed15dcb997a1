"""What the rows know of the conversation around a message, for its verdict: who may speak, who has, how long bots have been among
themselves.

Read under the lock of whoever judges the feed, so that nobody else decides about it until the transaction ends: of answers that two
engines give at the same moment each sees the other's. Take no row lock of an entity before it. What counts here is the order in which
messages reached us and our own answers' rows, never a message's timestamp.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Exists, OuterRef, Q, QuerySet

from conversations.address import dry
from conversations.feed.values import Generation
from conversations.logic import loopguard, staging
from conversations.logic.lifecycle import Debt, Mode, ReplyState
from conversations.logic.loopguard import Run
from conversations.logic.message import Line
from conversations.logic.scene import Room
from conversations.logic.staging import RECENT, SILENCE_S, UNDERWAY, UNREAD, Answer, Bots, Manners
from conversations.models import ConversationPolicy, Feed, Message, Reply
from conversations.models import Room as Place
from swwbot_site.lib.leases import JUDGING, alone


class Sight:
    """What was read for one message and holds for the next ones that are judged in the same transaction, as long as nobody answers."""

    def __init__(self) -> None:
        self._alone: set[int] = set()
        self._places: dict[tuple[int, str], Manners] = {}
        self._recent: dict[tuple[int, str, int], list[Answer]] = {}

    def alone(self, feed: Feed) -> None:
        """Nobody else judges the feed's messages until the transaction ends."""
        if feed.pk not in self._alone:
            alone(feed.pk % 2**31, JUDGING)
            self._alone.add(feed.pk)

    def place(self, feed: Feed, domain: str) -> Manners:
        """The rules that hold for the domain."""
        key = feed.pk, domain
        if key not in self._places:
            self._places[key] = manners(feed, place(feed, domain))
        return self._places[key]

    def recent(self, message: Message, count: int) -> list[Answer]:
        """The last answers in the message's conversation."""
        key = message.feed_id, message.conversation, count
        if key not in self._recent:
            self._recent[key] = _recent(message, count)
        return self._recent[key]


def room(message: Message, feed: Feed, before: Sequence[Line], now: datetime, *, bots: bool = True, sight: Sight | None = None) -> Room:
    """The room of a message; `before` are the lines of its conversation before it.

    `bots`: whether anybody answers bots at all; if not, nothing is read for a bot's message. `sight`: of the running transaction.
    """
    is_open = opened(message, feed)
    human = message.kind == "human"
    if not human and not bots:
        return Room(now=now, open=is_open[0], why_closed=is_open[1])
    sight = sight or Sight()
    sight.alone(feed)
    place = sight.place(feed, message.domain)
    recent = sight.recent(message, place.looks_at)
    return staging.room(
        now,
        place,
        recent,
        last=staging.last(recent, before, feed.polled_at),
        engaged=_engaged(message, recent),
        opened=is_open,
        bots=None if human else _among_themselves(message, feed, place, now),
    )


def opened(message: Message, feed: Feed) -> tuple[bool, str]:
    """Whether a directed message still waits for an answer and is ours, and why not."""
    queue, owed = Generation(feed.spoken).traits.queue, message.state == Debt.OWED
    return staging.opened(message.bot_params or {}, queue=queue, owed=owed, dry=dry(feed))


def manners(feed: Feed, place: dict[str, Any]) -> Manners:
    """The rules of a feed, and in their place what is set for one of its domains."""

    def rule(name: str, usual: Any) -> Any:
        value = place.get(name)
        return usual if value is None else value

    return Manners(
        max_repliers=rule("max_repliers", feed.max_repliers),
        strategy=place.get("strategy") or feed.strategy,
        max_bot_run=rule("max_bot_run", feed.max_bot_run),
        bot_decay=feed.bot_decay,
        silence_s=rule("silence_s", SILENCE_S),
        members=frozenset(place["who"]) if place.get("who") else None,
    )


def place(feed: Feed, domain: str) -> dict[str, Any]:
    """What is set for the message's domain; nothing if no room is."""
    who = ArrayAgg("entities__slug", filter=Q(entities__isnull=False), default=None)
    rows = Place.objects.filter(feed=feed, domain=domain).order_by() if domain else Place.objects.none()
    return dict(rows.annotate(who=who).values("strategy", "max_repliers", "max_bot_run", "silence_s", "who").first() or {})


def _talk(message: Message) -> QuerySet[Reply]:
    """Our answers in the message's conversation."""
    return Reply.objects.filter(conversation=message.conversation, message__feed_id=message.feed_id)


def _living(message: Message) -> QuerySet[Reply]:
    return _talk(message).exclude(state__in=[ReplyState.DROPPED, ReplyState.FAILED])


def _recent(message: Message, count: int) -> list[Answer]:
    """The last answers that live, the latest first."""
    rows = _living(message).order_by("-decided_at", "-id")
    columns = ("entity__slug", "mode", "state", "decided_at", "ended_at", "outgoing_id")
    return [
        Answer(slug=slug, mode=mode, state=state, decided_at=decided, ended_at=ended, outgoing_id=ident)
        for slug, mode, state, decided, ended, ident in rows.values_list(*columns)[:count]
    ]


def _engaged(message: Message, recent: Sequence[Answer]) -> frozenset[str]:
    """Who answers by chance a message of this conversation that was decided while this one waited already."""
    if len(recent) == RECENT and recent[-1].decided_at >= message.received_at:
        together = _living(message).filter(mode=Mode.AMBIENT, decided_at__gte=message.received_at)
        return frozenset(together.order_by().values_list("entity__slug", flat=True).distinct())
    return staging.engaged(recent, message.received_at)


def _among_themselves(message: Message, feed: Feed, place: Manners, now: datetime) -> Bots:
    """How long no human has spoken, and whose the message is."""
    cap = place.max_bot_run
    arrived = Message.objects.filter(feed_id=message.feed_id, conversation=message.conversation).order_by("-id")
    latest = list(arrived.values_list("kind", "received_at", "born_at")[: cap + 1])
    bots = loopguard.length(kind == "human" for kind, _, _ in latest)
    human = latest[bots] if bots < len(latest) else None
    policy = ConversationPolicy.objects.filter(pk=1).values_list("require_human_s", flat=True).first()
    own = Q(outgoing_id=message.remote_id, message__feed_id=message.feed_id) if message.own else Q(username=message.username)
    authors = Reply.objects.filter(own).order_by().values_list("entity__slug", flat=True).distinct()
    return Bots(
        run=Run(bots=bots, underway=_underway(message, feed, human[1] if human else None), cap=cap, decay=place.bot_decay),
        authors=frozenset(authors) if message.own or message.username else frozenset(),
        human_s=(now - human[2]).total_seconds() if human else None,
        require_human_s=policy or 0,
    )


def _underway(message: Message, feed: Feed, human: datetime | None) -> int:
    """Our answers in this conversation that will be read in the feed and are not yet. Those posted before the human spoke are not counted."""
    unread = _talk(message).exclude(Exists(Message.objects.filter(feed_id=message.feed_id, remote_id=OuterRef("outgoing_id"))))
    posted = unread.filter(state=ReplyState.POSTED)
    if feed.polled_at:
        posted = posted.filter(ended_at__gte=feed.polled_at - UNREAD)
    if human:
        posted = posted.filter(accepted_at__gte=human)
    return unread.filter(state__in=UNDERWAY).count() + posted.count()
