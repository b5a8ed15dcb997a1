"""Before step 11: what is so late that nobody would know what it answers is not posted any more.

That holds for whatever kept it: a feed out of reach or switched off, a dry run, the global stop. What may be at the feed already,
because an attempt broke, is looked for a last time before it is given up.
"""

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q

from conversations import outbox
from conversations.address import dry
from conversations.logic.delivery import too_late
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from swwbot_site.lib.wake import Channel, wake

BATCH: Final = 500
"""At most so many in one go; the others follow in the next."""


def expire(now: datetime) -> int:
    """End what is too late. Returns how many were ended."""
    late = Reply.objects.filter(deadline__lte=too_late(now), state__in=[ReplyState.READY, ReplyState.POSTING], accepted_at__isnull=True)
    if not late.exists():
        return 0
    count = 0
    with transaction.atomic():
        rows = late.filter(Q(state=ReplyState.READY) | outbox.free(now)).select_for_update(no_key=True, of=("self",), skip_locked=True)
        stopped = outbox.stops().exists()
        for reply in rows.select_related("message__feed").order_by("id")[:BATCH]:
            if reply.state == ReplyState.POSTING and (reply.attempts or reply.judged_at):  # one that was wanted again counts anew
                outbox.doubt(Reply.objects.filter(pk=reply.pk), now, "it is too late to post it; it is looked for a last time")
                continue
            why = "it was a dry run" if dry(reply.message.feed) else "posting was stopped" if stopped else "the feed could not be posted to"
            count += outbox.ended(reply, ReplyState.DROPPED, f"{why} until it was far too late", now)
        wake(Channel.DELIVER)
    return count
