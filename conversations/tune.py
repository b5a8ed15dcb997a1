"""Write the conversation's settings, which hold for all entities. Running engines obey at once. Who may post is not among them: see `stop`."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from conversations.models import ConversationPolicy
from swwbot_site.lib import sound
from swwbot_site.lib.events import say
from swwbot_site.lib.wake import Channel, wake


def tune(values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change settings; returns the columns that changed. Raises Django's ValidationError, by field."""
    with transaction.atomic():
        ConversationPolicy.objects.get_or_create(pk=1)
        row = ConversationPolicy.objects.select_for_update(no_key=True).get(pk=1)
        changed = sound.saved(row, values)
        if changed:
            text = f"{who} changed {', '.join(changed)} of the conversation's policy"
            say("policy.changed", text, subject="policy:conversation", who=who, fields=list(changed))
            wake(Channel.SETTINGS, Channel.LISTEN, Channel.DELIVER)
        return changed
