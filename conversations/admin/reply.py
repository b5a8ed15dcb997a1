"""Answers, from the verdict to the confirmed post."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from conversations.models import Reply
from swwbot_site.lib.adminkit import STATES, Record, column, pretty
from swwbot_site.lib.words import short, span


@admin.register(Reply)
class ReplyAdmin(Record):
    """Read-only: engines write it, `manage.py trace` tells its story."""

    list_display = ("id", "badge", "entity", "mode", "asked", "answer", "took", "attempts", "decided_at", "why")
    list_filter = ("state", "mode", ("entity", AutocompleteSelectFilter))
    search_fields = ("=id", "=outgoing_id", "=message__remote_id", "text")
    search_help_text = "number, outgoing id, the message's id or words"
    list_select_related = ("entity", "message")
    fieldsets = (
        (None, {"fields": (("state", "mode"), ("message", "entity"), ("username", "color"), "text", "reason")}),
        ("Verdict", {"fields": ("decided",)}),
        (
            "On its way",
            {"fields": (("generation", "permit", "permit_at"), ("outgoing_id", "outgoing_timestamp"), ("attempts", "attempt_at"))},
        ),
        ("When", {"fields": (("decided_at", "ready_at"), ("accepted_at", "ended_at"))}),
    )
    readonly_fields = ("decided",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("entity", "message")

    @column("state", ordering="state", label=STATES)
    def badge(self, row: Reply) -> str:
        return row.state

    @column("message")
    def asked(self, row: Reply) -> str:
        return short(str(row.message), 60)

    @column("answer")
    def answer(self, row: Reply) -> str:
        return short(row.text, 60)

    @column("took")
    def took(self, row: Reply) -> str:
        return span(row.ended_at - row.message.received_at if row.ended_at else None)

    @column("reason")
    def why(self, row: Reply) -> str:
        return short(row.reason, 60)

    @column("verdict")
    def decided(self, row: Reply) -> SafeString:
        return pretty(row.verdict)
