"""The conversation in figures, for Prometheus: what ended in a span of time, and how long answers took lately."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.db import connection
from django.db.models import Count, Max

from conversations.logic.lifecycle import ReplyState
from conversations.models import Message, Reply
from swwbot_site.lib import tallies

QUANTILES: Final = (0.5, 0.9, 0.99)

_SECONDS: Final = """
SELECT percentile_cont(%s::float8[]) WITHIN GROUP (ORDER BY extract(epoch FROM r.ended_at - m.received_at))
FROM conversations_reply r JOIN conversations_message m ON m.id = r.message_id
WHERE r.ended_at >= %s AND r.state = %s
"""


def answer_seconds(since: datetime) -> Mapping[float, float]:
    """By quantile, the seconds from reading a message to seeing its answer in the feed, of answers that were seen since then."""
    with connection.cursor() as cursor:
        cursor.execute(_SECONDS, [list(QUANTILES), since, ReplyState.POSTED.value])
        values = cursor.fetchone()[0]
    return {} if values is None else dict(zip(QUANTILES, map(float, values), strict=True))


def sums(after: datetime | None, until: datetime) -> list[tallies.Sum]:
    """The answers that ended after the one moment (None: ever) and up to the other, by how they ended."""
    ended = Reply.objects.filter(ended_at__lte=until)
    ended = ended if after is None else ended.filter(ended_at__gt=after)
    return tallies.daily(ended, "ended_at", "state", replies=Count("pk"))


def messages(after: int, until: datetime) -> tuple[list[tallies.Sum], int]:
    """The messages read up to a moment whose number is above `after`, by who wrote them; and the highest number among them."""
    rows = Message.objects.filter(pk__gt=after, received_at__lte=until)
    newest = rows.aggregate(newest=Max("pk"))["newest"]
    return ([], after) if newest is None else (tallies.daily(rows, "received_at", "kind", messages=Count("pk")), newest)
