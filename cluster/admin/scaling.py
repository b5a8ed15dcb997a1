"""Calls for more servers, or for one less."""

from django.contrib import admin
from django.utils.safestring import SafeString

from cluster.models import Notice
from swwbot_site.lib.adminkit import Record, column, facts
from swwbot_site.lib.words import short


@admin.register(Notice)
class NoticeAdmin(Record):
    """Who was told, and what has become of it."""

    empty = "When requests wait too long although every server is busy, or a server is idle for long, the cluster says so here."
    list_display = ("id", "event", "subject", "at", "closed_at", "attempts", "told_at", "delivered_at", "trouble")
    list_filter = ("event",)
    search_fields = ("subject",)
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": (("event", "subject"), "figures")}),
        ("When", {"fields": (("at", "closed_at"), ("told_at", "delivered_at", "due_at"))}),
        ("The webhook", {"fields": ("attempts", "error")}),
    )
    readonly_fields = ("figures",)

    @column("why")
    def figures(self, row: Notice) -> SafeString:
        return facts((name.replace("_", " "), value) for name, value in row.reason.items())

    @column("trouble")
    def trouble(self, row: Notice) -> str:
        return short(row.error, 60)
