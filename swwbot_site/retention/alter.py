"""Change how long rows are kept. What is thrown away next obeys; what went does not come back."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from swwbot_site.lib import sound
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.retention.row import Retention


def alter(values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change columns; returns which changed. Raises Django's ValidationError, by field."""
    with transaction.atomic():
        changed = sound.saved(Retention.locked(), values)
        if changed:
            text = f"{who} changed {', '.join(changed)} of the retention"
            say("policy.changed", text, subject="policy:retention", who=who, fields=list(changed))
            wake(Channel.SETTINGS)
        return changed
