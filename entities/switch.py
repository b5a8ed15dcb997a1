"""Switch entities on and off."""

from collections.abc import Iterable

from django.db import transaction

from entities.models import Entity
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake


def enable(ids: Iterable[int]) -> int:
    """Switch on those of `ids` that are off. Returns how many were; running engines know at once."""
    return _switch(ids, on=True, reason="")


def disable(ids: Iterable[int], reason: str) -> int:
    """Switch off those of `ids` that are on, saying why. Returns how many were; what is queued already is still answered."""
    return _switch(ids, on=False, reason=reason)


def _switch(ids: Iterable[int], *, on: bool, reason: str) -> int:
    with transaction.atomic():
        rows = list(Entity.objects.select_for_update(no_key=True).filter(pk__in=list(ids), enabled=not on).order_by("pk"))
        for row in rows:
            row.enabled, row.disabled_reason = on, reason
        Entity.objects.filter(pk__in=[row.pk for row in rows]).update(enabled=on, disabled_reason=reason)
        Entity.history.bulk_history_create(rows, update=True, default_change_reason=reason[:100])
        for row in rows:
            text = f"{row.username} ({row.slug}) is on" if on else f"{row.username} ({row.slug}) is off: {reason or 'no reason given'}"
            say("entity.enabled" if on else "entity.disabled", text, subject=f"entity:{row.slug}", reason=reason)
        if rows:
            wake(Channel.SETTINGS, Channel.LISTEN)
        return len(rows)
