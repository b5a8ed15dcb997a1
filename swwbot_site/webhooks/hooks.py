"""Webhooks as people handle them: made with a secret that is shown once, changed, switched, removed."""

import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Max

from swwbot_site.lib import clock, networks
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event, Webhook
from swwbot_site.webhooks import signature

WRITTEN: Final = ("name", "url", "kinds", "enabled")


def make(values: Mapping[str, Any], who: str) -> tuple[int, str]:
    """A new webhook; returns its key and its secret. Raises ValidationError, networks.Refused."""
    networks.allowed(str(values.get("url", "")))
    now, secret = clock.now(), signature.secret(secrets.token_bytes)
    with transaction.atomic():
        row = Webhook(**values, secret=secret, created_at=now, since=now, cursor=_newest())
        row.full_clean()
        row.save()
        # The host alone: of many services the rest of the address is the secret, and more people read events than webhooks.
        host = urlsplit(row.url).hostname
        say("webhook.made", f"{who} has events told to {row} at {host}", subject=f"webhook:{row}", who=who)
        wake(Channel.EVENTS)
        return row.pk, secret


def change(pk: int, values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change a webhook; returns the columns that changed. What happens while it is off is never told.

    Raises Webhook.DoesNotExist, ValidationError, networks.Refused.
    """
    if "url" in values:
        networks.allowed(str(values["url"]))
    with transaction.atomic():
        row = Webhook.objects.select_for_update().get(pk=pk)
        changed = [name for name, value in values.items() if getattr(row, name) != value]
        for name in changed:
            setattr(row, name, values[name])
        if not changed:
            return ()
        row.full_clean()
        extra = []
        if "enabled" in changed and row.enabled:
            row.since, row.cursor, extra = clock.now(), _newest(), ["since", "cursor"]
        row.save(update_fields=[*changed, *extra])
        say("webhook.changed", f"{who} changed {', '.join(changed)} of {row}", subject=f"webhook:{row}", who=who)
        wake(Channel.EVENTS)
        return tuple(changed)


def renew(pk: int, who: str) -> str:
    """Give a webhook another secret; returns it. Raises Webhook.DoesNotExist."""
    secret = signature.secret(secrets.token_bytes)
    with transaction.atomic():
        row = Webhook.objects.select_for_update().get(pk=pk)
        row.secret = secret
        row.save(update_fields=["secret"])
        say("webhook.changed", f"{who} gave {row} another secret", subject=f"webhook:{row}", who=who)
    return secret


def remove(pk: int, who: str) -> bool:
    """Tell it nothing any more, and forget its deliveries. Returns whether it was there."""
    with transaction.atomic():
        row = Webhook.objects.select_for_update().filter(pk=pk).first()
        if row is None:
            return False
        name = str(row)
        row.delete()
        say("webhook.removed", f"{who} removed {name}", subject=f"webhook:{name}", who=who)
        return True


def _newest() -> int:
    return Event.objects.aggregate(newest=Max("pk"))["newest"] or 0
