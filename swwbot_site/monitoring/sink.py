"""Where events are kept: a listener that writes each as a row. How long they stay, `retention` says."""

from swwbot_site.lib import clock
from swwbot_site.lib.events import Happening
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event


def record(happening: Happening) -> None:
    """Keep what happened and wake those who follow. Called after the commit of whoever said it."""
    Event.objects.create(
        at=clock.now(),
        kind=happening.kind[:60],
        level=happening.level,
        subject=happening.subject[:120],
        text=happening.text,
        detail=dict(happening.detail),
    )
    wake(Channel.EVENTS)
