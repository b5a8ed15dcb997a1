"""The one row of retention in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from swwbot_site.lib.adminkit import Page, column, pretty
from swwbot_site.retention.row import Retention


@admin.register(Retention)
class RetentionAdmin(Page):
    """Changes hold from the next step on. Who shortens a time cannot have back what went."""

    fieldsets = (
        ("The chat, days", {"fields": (("messages_days", "details_days"), "permits_days")}),
        ("The cluster, days", {"fields": (("requests_days", "placements_days"),)}),
        ("The machinery, days", {"fields": (("events_days", "events_most"), ("deliveries_days", "records_days"))}),
        ("What went", {"fields": (("kind", "due_at", "ended_at"), "last")}),
    )
    readonly_fields = ("kind", "due_at", "ended_at", "last")

    @column("went last")
    def last(self, row: Retention) -> SafeString:
        return pretty(row.gone)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one row: go to it."""
        Retention.objects.get_or_create(pk=1)
        return HttpResponseRedirect(reverse("admin:swwbot_site_retention_change", args=[1]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
