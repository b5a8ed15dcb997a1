"""Who works, and who worked."""

from django.contrib import admin

from conversations.models import Engine
from swwbot_site.lib import clock, leases
from swwbot_site.lib.adminkit import STATES, Record, column
from swwbot_site.lib.words import ago


@admin.register(Engine)
class EngineAdmin(Record):
    """Read-only: engines write it."""

    empty = "No worker has run an engine yet."
    list_display = ("owner", "badge", "host", "pid", "cluster", "version", "started_at", "beat", "ended_at", "end_reason")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "host")
    search_fields = ("=owner", "host", "cluster")

    @column("state", label=STATES)
    def badge(self, row: Engine) -> str:
        if row.ended_at is not None:
            return "ended"
        return "running" if row.beat_at > clock.now() - leases.LEASE else "failed"

    @column("last beat", ordering="beat_at")
    def beat(self, row: Engine) -> str:
        return ago(row.beat_at, clock.now())
