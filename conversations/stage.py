"""What the rows know of the conversation around a message, for its verdict: who may speak, who has, how long bots have been among
themselves.

Read under the lock of whoever judges the feed, so that nobody else decides about it until the transaction ends: of answers that two
engines give at the same moment each sees the other's. Take no row lock of an entity before it. What counts here is the order in which
messages reached us and our own answers' rows, never a message's timestamp.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Exists, OuterRef, Q, QuerySet

from conversations.address import dry
from conversations.feed.values import Generation
from conversations.logic import loopguard
from conversations.logic.lifecycle import Debt, Mode, ReplyState
from conversations.logic.loopguard import Run
from conversations.logic.message import Line
from conversations.logic.scene import Room
from conversations.models import ConversationPolicy, Feed, Message, Reply
from conversations.models import Room as Place
from swwbot_site.lib.leases import JUDGING, alone

RECENT: Final = 20
"""So many of the last answers in the conversation are looked at."""

LONG_AGO: Final = 1000
"""So many where the strategy wants to know who spoke when."""

BRIEF: Final = ("natural", "random", "weighted", "round-robin")
"""Strategies that need only the last answers."""

UNREAD: Final = timedelta(seconds=90)
"""A post that was confirmed so long before the last poll has been read, if it is in the feed at all."""

SILENCE_S: Final = 600.0

UNDERWAY: Final = (ReplyState.WAITING, ReplyState.READY, ReplyState.POSTING)
"""Answers that will be posted unless something goes wrong. A held one waits for a person, who may let bots talk as long as he likes."""


class Sight:
    """What was read for one message and holds for the next ones that are judged in the same transaction, as long as nobody answers."""

    def __init__(self) -> None:
        self._alone: set[int] = set()
        self._places: dict[tuple[int, str], dict[str, Any]] = {}
        self._recent: dict[tuple[int, str, int], list[dict[str, Any]]] = {}

    def alone(self, feed: Feed) -> None:
        """Nobody else judges the feed's messages until the transaction ends."""
        if feed.pk not in self._alone:
            alone(feed.pk % 2**31, JUDGING)
            self._alone.add(feed.pk)

    def place(self, feed: Feed, domain: str) -> dict[str, Any]:
        """What is set for the domain."""
        key = feed.pk, domain
        if key not in self._places:
            self._places[key] = _place(feed, domain)
        return self._places[key]

    def recent(self, message: Message, count: int) -> list[dict[str, Any]]:
        """The last answers in the message's conversation."""
        key = message.feed_id, message.conversation, count
        if key not in self._recent:
            self._recent[key] = _recent(message, count)
        return self._recent[key]


def room(message: Message, feed: Feed, before: Sequence[Line], now: datetime, *, bots: bool = True, sight: Sight | None = None) -> Room:
    """The room of a message; `before` are the lines of its conversation before it.

    `bots`: whether anybody answers bots at all; if not, nothing is read for a bot's message. `sight`: of the running transaction.
    """
    is_open, why = opened(message, feed)
    human = message.kind == "human"
    if not human and not bots:
        return Room(now=now, open=is_open, why_closed=why)
    sight = sight or Sight()
    sight.alone(feed)
    place = sight.place(feed, message.domain)
    strategy = place.get("strategy") or feed.strategy
    recent = sight.recent(message, RECENT if strategy in BRIEF else LONG_AGO)
    wait = {} if human else _among_themselves(message, feed, _or(place.get("max_bot_run"), feed.max_bot_run), now)
    return Room(
        now=now,
        members=frozenset(place["who"]) if place.get("who") else None,
        max_repliers=_or(place.get("max_repliers"), feed.max_repliers),
        strategy=strategy,
        silence_s=_or(place.get("silence_s"), SILENCE_S),
        spoken=tuple((one["entity__slug"], max(0.0, (now - one["decided_at"]).total_seconds())) for one in recent),
        last=_last(recent, before, feed),
        engaged=_engaged(message, recent),
        open=is_open,
        why_closed=why,
        **wait,
    )


def opened(message: Message, feed: Feed) -> tuple[bool, str]:
    """Whether a directed message still waits for an answer and is ours, and why not. Only an explicit word of the feed opens it."""
    params = message.bot_params or {}
    if Generation(feed.spoken).traits.queue:
        if message.state == Debt.OWED or (dry(feed) and params.get("status") == "pending"):
            return True, ""
        claimed = params.get("claimed_by")
        return False, f"claimed by {claimed}" if claimed else f"its state in the queue is {params.get('status') or 'unknown'}"
    if params.get("processed") is False:
        return True, ""
    return False, "it is marked as processed" if params.get("processed") else "it is not marked as unprocessed"


def _or(value: Any, usual: Any) -> Any:
    return usual if value is None else value


def _place(feed: Feed, domain: str) -> dict[str, Any]:
    """What is set for the message's domain; nothing if no room is."""
    who = ArrayAgg("entities__slug", filter=Q(entities__isnull=False), default=None)
    rows = Place.objects.filter(feed=feed, domain=domain).order_by() if domain else Place.objects.none()
    return dict(rows.annotate(who=who).values("strategy", "max_repliers", "max_bot_run", "silence_s", "who").first() or {})


def _talk(message: Message) -> QuerySet[Reply]:
    """Our answers in the message's conversation."""
    return Reply.objects.filter(conversation=message.conversation, message__feed_id=message.feed_id)


def _living(message: Message) -> QuerySet[Reply]:
    return _talk(message).exclude(state__in=[ReplyState.DROPPED, ReplyState.FAILED])


def _recent(message: Message, count: int) -> list[dict[str, Any]]:
    """The last answers that live, the latest first."""
    rows = _living(message).order_by("-decided_at", "-id")
    columns = ("entity__slug", "mode", "state", "decided_at", "ended_at", "outgoing_id")
    return [dict(one) for one in rows.values(*columns)[:count]]


def _last(recent: Sequence[dict[str, Any]], before: Sequence[Line], feed: Feed) -> frozenset[str]:
    """Whose post is the last line, and whose are on their way."""
    line = before[-1] if before else None
    last = {one["entity__slug"] for one in recent if line is not None and line.own and one["outgoing_id"] == line.remote_id}
    return frozenset(last | {one["entity__slug"] for one in recent if _coming(one, feed)})


def _coming(one: dict[str, Any], feed: Feed) -> bool:
    """Whether an answer will be read after the message: it is not posted, or nobody has polled since."""
    if one["state"] == ReplyState.POSTED:
        return bool(feed.polled_at and one["ended_at"] and one["ended_at"] > feed.polled_at)
    return one["state"] in UNDERWAY


def _engaged(message: Message, recent: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Who answers by chance a message of this conversation that was decided while this one waited already."""
    if len(recent) == RECENT and recent[-1]["decided_at"] >= message.received_at:
        together = _living(message).filter(mode=Mode.AMBIENT, decided_at__gte=message.received_at)
        return frozenset(together.order_by().values_list("entity__slug", flat=True).distinct())
    return frozenset(one["entity__slug"] for one in recent if one["mode"] == Mode.AMBIENT and one["decided_at"] >= message.received_at)


def _among_themselves(message: Message, feed: Feed, cap: int, now: datetime) -> dict[str, Any]:
    """How long no human has spoken, and whose the message is."""
    arrived = Message.objects.filter(feed_id=message.feed_id, conversation=message.conversation).order_by("-id")
    latest = list(arrived.values_list("kind", "received_at", "born_at")[: cap + 1])
    bots = loopguard.length(kind == "human" for kind, _, _ in latest)
    human = latest[bots] if bots < len(latest) else None
    policy = ConversationPolicy.objects.filter(pk=1).values_list("require_human_s", flat=True).first()
    own = Q(outgoing_id=message.remote_id, message__feed_id=message.feed_id) if message.own else Q(username=message.username)
    authors = Reply.objects.filter(own).order_by().values_list("entity__slug", flat=True).distinct()
    return {
        "run": Run(bots=bots, underway=_underway(message, feed, human[1] if human else None), cap=cap, decay=feed.bot_decay),
        "authors": frozenset(authors) if message.own or message.username else frozenset(),
        "human_s": (now - human[2]).total_seconds() if human else None,
        "require_human_s": policy or 0,
    }


def _underway(message: Message, feed: Feed, human: datetime | None) -> int:
    """Our answers in this conversation that will be read in the feed and are not yet. Those posted before the human spoke are not counted."""
    unread = _talk(message).exclude(Exists(Message.objects.filter(feed_id=message.feed_id, remote_id=OuterRef("outgoing_id"))))
    posted = unread.filter(state=ReplyState.POSTED)
    if feed.polled_at:
        posted = posted.filter(ended_at__gte=feed.polled_at - UNREAD)
    if human:
        posted = posted.filter(accepted_at__gte=human)
    return unread.filter(state__in=UNDERWAY).count() + posted.count()
