"""What a person says of answers on hold: post it, post it changed, or not at all.

Of several people the first is obeyed. An answer past its deadline stays on hold, for a person decides; approved, it has time again.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from conversations import outbox
from conversations.feed.fields import scrub
from conversations.feed.identity import units
from conversations.feed.values import TEXT_MAXIMUM
from conversations.logic.delivery import GRANTED
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.events import say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.transitions import moved
from swwbot_site.lib.wake import Channel, wake

NAME = 200


class Unfit(BotError):
    """A text that cannot be posted as it is."""

    code = "text-unfit"
    fault = Fault.REQUEST


def approve(ids: Iterable[int], who: str) -> int:
    """Let these be posted. Returns how many were on hold."""
    return sum(_sent(reply_id, who, None) for reply_id in sorted(set(ids)))


def edit(reply_id: int, text: str, who: str) -> bool:
    """Let this one be posted with another text; the first one is kept. Returns whether it was on hold. Raises Unfit."""
    return _sent(reply_id, who, scrub(text).strip())


def reject(ids: Iterable[int], who: str, why: str = "") -> int:
    """Let these not be posted; their permits come back. Returns how many were on hold."""
    return sum(_rejected(reply_id, who, scrub(why).strip()) for reply_id in sorted(set(ids)))


def _held(reply_id: int) -> Reply | None:
    rows = Reply.objects.select_for_update(no_key=True, of=("self",)).select_related("message__feed")
    return rows.filter(pk=reply_id, state=ReplyState.HELD).first()


def _judged(who: str, now: datetime) -> dict[str, Any]:
    return {"judged_by": scrub(who)[:NAME], "judged_at": now}


def _sent(reply_id: int, who: str, text: str | None) -> bool:
    now = clock.now()
    with transaction.atomic():
        reply = _held(reply_id)
        if reply is None:
            return False
        changed: dict[str, Any] = {}
        if text is not None and text != reply.text:
            changed = {"text": _fit(text, reply), "original": reply.original or reply.text}
        deadline = max(reply.deadline, now + GRANTED)
        done = moved(reply, ReplyState.HELD, ReplyState.READY, deadline=deadline, ready_at=now, **changed, **_judged(who, now))
        step("approve.inside")
        how = "changes and approves" if changed else "approves"
        say("reply.approved", f"{who} {how} what {reply.username} says: {reply.text}", subject=f"reply:{reply.pk}", edited=bool(changed))
        wake(Channel.DELIVER)
        return done


def _fit(text: str, reply: Reply) -> str:
    """The text, if the feed would take it and not change it."""
    limit, length = min(TEXT_MAXIMUM, reply.message.feed.max_text), units(text)
    if not text:
        raise Unfit("There is no text left. Reject the answer if it should not be posted.")
    if length > limit:
        raise Unfit(f"The text has {length} characters, and {reply.message.feed.name} takes {limit}. Shorten it.")
    return text


def _rejected(reply_id: int, who: str, why: str) -> bool:
    now = clock.now()
    with transaction.atomic():
        reply = _held(reply_id)
        if reply is None:
            return False
        reason = f"rejected by {scrub(who)[:NAME]}{f': {why}' if why else ''}"
        return outbox.ended(reply, ReplyState.DROPPED, reason, now, **_judged(who, now))
