"""Plug in a feed, change it, switch it. Running engines obey at once.

Only the columns that are given are saved: engines write the others meanwhile. What no feed may hold raises Django's ValidationError, by field.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction

from conversations.models import Feed
from entities import choose
from swwbot_site.lib import sound
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.wake import Channel, wake

WRITTEN: Final = tuple(
    field.name for field in Feed._meta.concrete_fields if field.editable and not field.primary_key and field.name != "enabled"
)
"""The columns that people write; `enabled` is switched."""


def add(values: Mapping[str, Any], who: str) -> int:
    """A new feed; returns its key. It is on unless `enabled` says otherwise. Raises ValidationError."""
    _known(values)
    with transaction.atomic():
        row = Feed(**values)
        row.full_clean()
        row.save()
        say("feed.added", f"{who} added {row} at {row.url}", subject=f"feed:{row}", who=who)
        _woken()
        return row.pk


def change(pk: int, values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change a feed; returns the columns that changed. At another address its generation is found out anew.

    Raises Feed.DoesNotExist, ValidationError.
    """
    _known(values)
    with transaction.atomic():
        row = Feed.objects.select_for_update(no_key=True).get(pk=pk)
        changed = tuple(name for name, value in values.items() if getattr(row, name) != value)
        if not changed:
            return ()
        for name in changed:
            setattr(row, name, values[name])
        sound.check(row, changed)
        anew = {"detected": "", "failures": 0, "error": "", "poll_at": None} if "url" in changed else {}
        for name, value in anew.items():
            setattr(row, name, value)
        row.save(update_fields=[*changed, *anew])
        say("feed.changed", f"{who} changed {', '.join(changed)} of {row}", subject=f"feed:{row}", who=who, fields=list(changed))
        _woken()
        return changed


def switch(pk: int, who: str, *, on: bool) -> bool:
    """Have a feed read and posted to, or left alone. Returns whether that is a change."""
    with transaction.atomic():
        row = Feed.objects.select_for_update(no_key=True).filter(pk=pk, enabled=not on).first()
        if row is None:
            return False
        Feed.objects.filter(pk=pk).update(enabled=on, **({"poll_at": None} if on else {}))
        level = Level.INFO if on else Level.WARNING
        text = f"{row} is {'on' if on else 'off'}: {who} switched it"
        say("feed.enabled" if on else "feed.disabled", text, subject=f"feed:{row}", level=level, who=who)
        _woken()
        return True


def _known(values: Mapping[str, Any]) -> None:
    """Raises ValidationError for a strategy that nobody brings."""
    if "strategy" in values:
        try:
            choose.strategy(values["strategy"])
        except choose.UnknownStrategy as exc:
            raise ValidationError({"strategy": str(exc)}) from exc


def _woken() -> None:
    wake(Channel.SETTINGS, Channel.LISTEN, Channel.DELIVER)
