"""Answers, from the verdict to the confirmed post."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from conversations.admin.judging import Judging
from conversations.logic.lifecycle import ReplyState
from conversations.models import Feed, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import STATES, Record, column, link, pretty
from swwbot_site.lib.words import short, span


@admin.register(Reply)
class ReplyAdmin(Judging, Record):
    """Read-only: engines write it, `manage.py trace` tells its story. People judge what is on hold and want again what failed."""

    empty = "As soon as an entity decides to answer something, it appears here."
    actions = ("approve_chosen", "reject_chosen", "requeue_chosen")
    change_form_outer_before_template = "conversations/judging.html"

    list_display = ("id", "badge", "entity", "mode", "asked", "answer", "took", "attempts", "decided_at", "why", "story")
    list_filter = ("state", "mode", ("entity", AutocompleteSelectFilter))
    search_fields = ("=id", "=outgoing_id", "text")
    search_help_text = "number, outgoing id, the message's id or words"
    list_select_related = ("entity", "message")
    fieldsets = (
        (None, {"fields": (("state", "mode"), ("message", "entity"), ("username", "color"), "text", "reason", "story")}),
        ("Judged by people", {"fields": (("judged_by", "judged_at"), "original"), "classes": ("collapse",)}),
        ("Verdict", {"fields": ("decided", "written_before")}),
        (
            "On its way",
            {"fields": (("generation", "permit", "permit_at"), ("outgoing_id", "outgoing_timestamp"), ("attempts", "attempt_at"))},
        ),
        ("When", {"fields": (("decided_at", "deadline", "ready_at"), ("accepted_at", "ended_at"))}),
    )
    readonly_fields = ("decided", "written_before", "story")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("entity", "message")

    def known(self, term: str) -> list[int]:
        """Also by the message's id, through the feeds: its index begins with them."""
        asked = Message.objects.filter(feed__in=list(Feed.objects.values_list("pk", flat=True)), remote_id=term).values_list(
            "pk", flat=True
        )
        return [*super().known(term), *Reply.objects.filter(message__in=list(asked[:100])).values_list("pk", flat=True)]

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
        late = clock.now() - row.deadline
        if row.state == ReplyState.HELD and late.total_seconds() > 0:
            return f"waits for a person, late by {span(late)}"
        return short(row.reason, 60)

    @column("why")
    def story(self, row: Reply) -> SafeString:
        return link("why", reverse("why-reply", args=[row.pk]))

    @column("verdict")
    def decided(self, row: Reply) -> SafeString:
        return pretty(row.verdict)

    @column("earlier drafts")
    def written_before(self, row: Reply) -> SafeString:
        return pretty(row.drafts)
