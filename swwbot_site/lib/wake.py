"""Alarm clocks between processes: `NOTIFY` without payload, sent when the transaction commits.

Losing one loses nothing: every loop also looks by itself. What is worth doing stands in the rows.
"""

from enum import StrEnum

from django.db import connection


class Channel(StrEnum):
    """Who is woken."""

    LISTEN = "sww_listen"
    SERVE = "sww_serve"
    PLAN = "sww_plan"
    """What plans go by has changed: one is made although nothing waits. Rung with SERVE, before it; SETTINGS rings it too."""
    LIMITS = "sww_limits"
    """Limits have changed: who stands in line asks anew. Rung with LISTEN, before it; SETTINGS rings it too."""
    DELIVER = "sww_deliver"
    SETTINGS = "sww_settings"
    SWAP = "sww_swap"
    EVENTS = "sww_events"
    STOP = "sww_stop"
    RELAY = "sww_relay"


def wake(*channels: Channel) -> None:
    """Wake everybody who listens on `channels`, once the running transaction commits (at once outside one)."""
    with connection.cursor() as cursor:
        for channel in channels:
            cursor.execute(waking(channel))


def waking(channel: Channel) -> str:
    """The statement of `wake`, for `written.together`."""
    return f"NOTIFY {channel.value}"
