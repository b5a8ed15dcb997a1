"""The global stop: nothing is posted anywhere until somebody resumes.

Reading, deciding and generating go on, so that nothing is lost; what is ready waits, and what becomes too late meanwhile is dropped
with that reason. What is told to a feed's own queue waits too. Engines ask the row at every claim and before every request, so it
holds within a second, also where no notification arrives; a request that has begun is not cut.
"""

from django.db import transaction

from conversations.feed.fields import scrub
from conversations.models import ConversationPolicy
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import POSTING, alone
from swwbot_site.lib.wake import Channel, wake

NAME: int = 200
"""Characters of a name that are kept."""


def stop(who: str, why: str = "") -> bool:
    """Stop all posting. Returns whether it was we who did; once it returns, no engine claims another post."""
    who, why = scrub(who)[:NAME], scrub(why).strip()
    with transaction.atomic():
        ConversationPolicy.objects.get_or_create(pk=1)
        alone(POSTING)
        rows = ConversationPolicy.objects.filter(pk=1, stopped=False)
        if not rows.update(stopped=True, stopped_at=clock.now(), stopped_by=who, stop_reason=why):
            return False
        step("stop.inside")
        say("posting.stopped", f"{who} stopped all posting{f': {why}' if why else ''}", subject="policy:conversation", level=Level.WARNING)
        wake(Channel.DELIVER, Channel.SETTINGS)
    return True


def resume(who: str) -> bool:
    """Post again what still waits. Returns whether it was we who resumed."""
    who = scrub(who)[:NAME]
    with transaction.atomic():
        rows = ConversationPolicy.objects.filter(pk=1, stopped=True)
        if not rows.update(stopped=False, stopped_at=None, stopped_by="", stop_reason=""):
            return False
        say("posting.resumed", f"{who} lets answers be posted again", subject="policy:conversation")
        wake(Channel.DELIVER, Channel.SETTINGS)
    return True
