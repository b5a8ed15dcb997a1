"""Every kind of rows that gets old, in the order in which they go: what refers to others before what is referred to."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cluster import prune as cluster
from conversations import prune as conversations
from entities import prune as entities
from swwbot_site.lib.leases import REPEATED
from swwbot_site.lib.pruning import Kind
from swwbot_site.models import Reckoning
from swwbot_site.retention import own
from swwbot_site.retention.row import Retention

FAR: Final = 365 * 1000
"""So many days are for ever."""


def ago(now: datetime, days: int) -> datetime:
    """So many days before now."""
    return now - timedelta(days=min(days, FAR))


def kinds(policy: Retention, now: datetime, *, marked: bool = True) -> Iterator[tuple[Kind, datetime]]:
    """The kinds that the policy does not keep for ever, and before when each is old.

    Nothing is old before it is counted into tallies. `marked`: no message is that its feed's mark has not reached; otherwise as if all had.
    """
    reckoning = Reckoning.objects.filter(pk=1).first()
    counted = reckoning.message if reckoning else 0
    beginning = ago(now, FAR)
    until = (reckoning and reckoning.until) or beginning

    def since(days: int) -> datetime:
        """So many days ago, and not after what is counted."""
        return min(until, ago(now, days))

    if days := policy.messages_days:
        messages = partial(conversations.messages, counted=counted, marked=marked)
        yield Kind(name="messages", choose=messages, remove=conversations.forget), since(days)
        yield Kind(name="ensembles", choose=conversations.ensembles, remove=conversations.quieten), since(days)
    if days := policy.requests_days:
        yield Kind(name="requests", choose=cluster.requests, remove=cluster.forget), since(days)
    if days := policy.placements_days:
        yield Kind(name="placements", choose=cluster.placements, remove=cluster.vacate), since(days)
    if days := policy.requests_days:  # a name was noted with a request, and goes when the last one has gone
        yield Kind(name="models", choose=partial(cluster.models, named=entities.models), remove=cluster.unname), since(days)
    if days := policy.permits_days:
        yield Kind(name="permits", choose=partial(entities.permits, now=now), remove=entities.erased), since(days)
    if days := policy.details_days:
        heavy = partial(cluster.heavy, needed=conversations.needed)
        yield Kind(name="details of requests", choose=heavy, remove=cluster.lighten, again=False), since(days)
        yield Kind(name="details of messages", choose=conversations.heavy, remove=conversations.lighten, again=False), since(days)
        yield Kind(name="details of answers", choose=conversations.replies, remove=conversations.shorten, again=False), since(days)
    if days := policy.deliveries_days:
        yield Kind(name="deliveries", choose=own.deliveries, remove=own.undeliver), since(days)
    if policy.events_days or policy.events_most:
        old = since(policy.events_days) if policy.events_days else beginning
        yield Kind(name="events", choose=partial(own.events, most=policy.events_most, now=now), remove=own.unsay), old
    if days := policy.records_days:
        yield Kind(name="engines", choose=conversations.engines, remove=conversations.dismiss), since(days)
        yield Kind(name="calls for servers", choose=cluster.notices, remove=cluster.silence), since(days)
        yield Kind(name="failed tasks", choose=own.tasks, remove=own.untask), since(days)
    yield Kind(name="repeated requests", choose=own.repeats, remove=own.unrepeat), now - REPEATED
    yield Kind(name="login attempts", choose=own.logins, remove=own.unlog), now - own.TRIED
    yield Kind(name="sessions", choose=own.sessions, remove=own.end), now
