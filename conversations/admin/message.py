"""What the feed said, and who answers."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from conversations.logic.lifecycle import Debt
from conversations.models import Feed, Message, Reply
from swwbot_site.lib.adminkit import Record, Rows, column, link, pretty
from swwbot_site.lib.words import short


class Replies(Rows):
    """Who answers it."""

    model = Reply
    fields = ("entity", "state", "mode", "text", "reason", "decided_at", "ready_at", "ended_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("entity")


class Owed(admin.SimpleListFilter):
    """By what the feed's queue still waits to hear. Its values are known, and not read from a million rows."""

    title = "debt"
    parameter_name = "debt"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(debt.value, debt.value) for debt in Debt]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(Message)
class MessageAdmin(Record):
    """Read-only: the feed writes it."""

    empty = "What feeds say stands here as soon as it is read."
    inlines = (Replies,)
    list_display = ("id", "received_at", "who", "said", "kind", "own", "decided_at", "answers", "debt", "feed", "story")
    list_filter = ("kind", "own", ("decided_at", admin.EmptyFieldListFilter), Owed, ("feed", AutocompleteSelectFilter))
    search_fields = ("=id", "username", "text")
    sortable_by = ("id",)
    search_help_text = "our number, the feed's id, a name or words"
    list_select_related = ("feed",)
    fieldsets = (
        (None, {"fields": (("username", "color", "kind"), "text", ("feed", "remote_id", "reply_to"), ("domain", "own"))}),
        ("Times", {"fields": (("timestamp", "received_at", "decided_at"),)}),
        ("Verdict", {"fields": ("decided", "story")}),
        ("Debt to the feed's queue", {"fields": (("state", "settle_at", "settle_attempts"),)}),
        ("As it came", {"fields": ("params", "lines"), "classes": ("collapse",)}),
    )
    readonly_fields = ("decided", "story", "params", "lines")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        own = Reply.objects.filter(message=OuterRef("pk")).order_by().values("message")
        found: QuerySet[Message] = super().get_queryset(request)
        return found.annotate(answers_n=Coalesce(Subquery(own.annotate(n=Count("pk")).values("n")), 0))

    def known(self, term: str) -> list[int]:
        """Also by the feed's id, through the feeds: its index begins with them."""
        rows = Message.objects.filter(feed__in=list(Feed.objects.values_list("pk", flat=True)), remote_id=term)
        return [*super().known(term), *rows.values_list("pk", flat=True)[:100]]

    @column("who", ordering="username")
    def who(self, row: Message) -> str:
        return row.username or "anon"

    @column("text")
    def said(self, row: Message) -> str:
        return short(row.text)

    @column("answers")
    def answers(self, row: Any) -> int:
        return int(row.answers_n)

    @column("debt", ordering="state")
    def debt(self, row: Message) -> str:
        return "–" if row.state == "none" else row.state

    @column("why")
    def story(self, row: Message) -> SafeString:
        return link("why", reverse("why-message", args=[row.pk]))

    @column("verdict")
    def decided(self, row: Message) -> SafeString:
        return pretty(row.verdict)

    @column("for bots")
    def params(self, row: Message) -> SafeString:
        return pretty(row.bot_params)

    @column("context its author saw")
    def lines(self, row: Message) -> SafeString:
        return pretty(row.context)
