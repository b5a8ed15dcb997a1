"""Where events are kept: a listener that writes each as a row, and throws the old ones away."""

from datetime import timedelta
from typing import Final

from swwbot_site.lib import clock
from swwbot_site.lib.events import Happening
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event

KEEP: Final = 50_000
"""Events that are kept at most."""

AGE: Final = timedelta(days=30)
"""How old an event gets at most."""

EVERY: Final = 500
"""Old events are thrown away with every so many new ones, by whichever process writes that one."""

BATCH: Final = 2_000
"""Events thrown away at once; more than EVERY, so that it catches up."""


def record(happening: Happening) -> None:
    """Keep what happened and wake those who follow. Called after the commit of whoever said it."""
    event = Event.objects.create(
        at=clock.now(),
        kind=happening.kind[:60],
        level=happening.level,
        subject=happening.subject[:120],
        text=happening.text,
        detail=dict(happening.detail),
    )
    wake(Channel.EVENTS)
    if event.pk % EVERY == 0:
        prune(event.pk)


def prune(newest: int, *, keep: int = KEEP) -> int:
    """Throw away up to BATCH events older than AGE or more than `keep` ids behind `newest`. Returns how many went."""
    oldest = Event.objects.order_by("id").values_list("id", "at")[:BATCH]
    limit = clock.now() - AGE
    going = [pk for pk, at in oldest if pk <= newest - keep or at < limit]
    return Event.objects.filter(id__in=going).delete()[0]
