"""How the conversation has gone lately, minute by minute: what the front page of the admin draws."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection

from conversations.models import Message, Reply

MINUTE: Final = timedelta(minutes=1)

_MINUTES: Final = f"""
    SELECT floor(extract(epoch FROM r.ended_at - %s) / 60)::int AS minute, count(*),
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM r.ended_at - m.received_at))
    FROM {Reply._meta.db_table} r JOIN {Message._meta.db_table} m ON m.id = r.message_id
    WHERE r.ended_at >= %s AND r.ended_at < %s AND r.state = 'posted' GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - our own names
_WHOLE: Final = f"""
    SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM r.ended_at - m.received_at))
    FROM {Reply._meta.db_table} r JOIN {Message._meta.db_table} m ON m.id = r.message_id
    WHERE r.ended_at >= %s AND r.ended_at < %s AND r.state = 'posted'
"""  # noqa: S608 - our own names


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """Answers that were posted within one minute, and how many seconds lay between message and answer."""

    posted: int = 0
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """The last minutes, oldest first, and the seconds of all of them together."""

    minutes: tuple[Minute, ...]
    p50: float | None
    p95: float | None

    @property
    def posted(self) -> int:
        return sum(minute.posted for minute in self.minutes)


def pulse(now: datetime, minutes: int) -> Pulse:
    """The last `minutes` minutes."""
    since = now - minutes * MINUTE
    with connection.cursor() as cursor:
        cursor.execute(_MINUTES, [since, since, now])
        found = {minute: Minute(posted=posted, p50=p50, p95=p95) for minute, posted, (p50, p95) in cursor.fetchall()}
        cursor.execute(_WHOLE, [since, now])
        whole = cursor.fetchone()[0] or [None, None]
    return Pulse(minutes=tuple(found.get(number, Minute()) for number in range(minutes)), p50=whole[0], p95=whole[1])
