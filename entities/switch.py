"""Switch entities on and off."""

from collections.abc import Iterable

from django.db import transaction

from entities import chronicle
from entities.models import Entity
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.wake import Channel, wake


def enable(ids: Iterable[int], who: str = "") -> int:
    """Switch on those of `ids` that are off; their earlier failures are forgiven. Returns how many were off; running engines know at once."""
    return _switch(ids, on=True, reason="", who=who)


def disable(ids: Iterable[int], reason: str, who: str = "") -> int:
    """Switch off those of `ids` that are on, saying why. Returns how many were; what is queued already is still answered.

    Without a person (`who`) it is told as a warning: nobody has decided it.
    """
    return _switch(ids, on=False, reason=reason, who=who)


def _switch(ids: Iterable[int], *, on: bool, reason: str, who: str) -> int:
    with transaction.atomic():
        rows = list(Entity.objects.select_for_update(no_key=True).filter(pk__in=list(ids), enabled=not on).order_by("pk"))
        if not rows:
            return 0
        now = clock.now()
        for row in rows:
            row.enabled, row.disabled_reason = on, reason
            if on:
                row.enabled_at = now
        Entity.objects.bulk_update(rows, ["enabled", "disabled_reason", "enabled_at"])
        chronicle.keep(rows, who, reason or f"switched {'on' if on else 'off'}{f' by {who}' if who else ''}")
        level = Level.INFO if on or who else Level.WARNING
        for row in rows:
            text = f"{row.username} ({row.slug}) is on" if on else f"{row.username} ({row.slug}) is off: {reason or 'no reason given'}"
            say("entity.enabled" if on else "entity.disabled", text, subject=f"entity:{row.slug}", level=level, reason=reason)
        wake(Channel.SETTINGS, Channel.LISTEN)
        return len(rows)
