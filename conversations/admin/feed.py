"""Message backends."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from conversations.admin.strategy import Strategic
from conversations.models import Feed
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import STATES, Waking, column
from swwbot_site.lib.words import ago, short


@admin.register(Feed)
class FeedAdmin(Waking):
    """Where the chat is read and answers are posted."""

    empty = "Add the chat that is read and answered; or import a configuration under Running, Imports."
    form = Strategic
    list_display = ("name", "url", "badge", "spoken_generation", "enabled", "dry_run", "poll_interval_s", "polled", "trouble")
    list_filter = ("enabled", "dry_run", "generation")
    search_fields = ("name", "url")
    readonly_fields = (
        "detected",
        "cursor",
        "poll_at",
        "polled_at",
        "post_at",
        "claim_at",
        "failures",
        "error",
        "lease_owner",
        "lease_until",
    )
    fieldsets = (
        (None, {"fields": (("name", "url"), ("generation", "priority_direction"), ("enabled", "dry_run"))}),
        ("Reading", {"fields": (("poll_interval_s", "overlap_s"), "window_gap_s")}),
        ("Answering", {"fields": (("max_repliers", "strategy"), ("max_bot_run", "bot_decay"))}),
        ("Posting", {"fields": (("domain", "max_text"), ("post_interval_s", "lost_after_s"), ("origin", "exempt"))}),
        (
            "What we see of it",
            {
                "fields": (
                    ("detected", "cursor", "polled_at"),
                    ("poll_at", "post_at", "claim_at"),
                    ("failures", "error"),
                    ("lease_owner", "lease_until"),
                )
            },
        ),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not once it has messages: they would go with it. Switch it off instead."""
        return bool(super().has_delete_permission(request, obj)) and (obj is None or not obj.messages.exists())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without the deletion of many."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    @column("state", label=STATES)
    def badge(self, row: Feed) -> str:
        if not row.enabled:
            return "off"
        return "failed" if row.failures else "on"

    @column("generation", ordering="detected")
    def spoken_generation(self, row: Feed) -> str:
        return row.spoken or "–"

    @column("last poll", ordering="polled_at")
    def polled(self, row: Feed) -> str:
        return ago(row.polled_at, clock.now())

    @column("last error")
    def trouble(self, row: Feed) -> str:
        return short(row.error) if row.failures else "–"
