"""Calls for more servers, or for one less."""

from django.contrib import admin

from cluster.models import Notice
from swwbot_site.lib.adminkit import Record, column
from swwbot_site.lib.words import short


@admin.register(Notice)
class NoticeAdmin(Record):
    """Who was told, and what has become of it."""

    list_display = ("id", "event", "subject", "at", "closed_at", "attempts", "told_at", "delivered_at", "trouble")
    list_filter = ("event",)
    search_fields = ("subject",)
    ordering = ("-id",)

    @column("trouble")
    def trouble(self, row: Notice) -> str:
        return short(row.error, 60)
