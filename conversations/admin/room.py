"""Domains with rules of their own."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from conversations.admin.strategy import Strategic
from conversations.models import Room
from swwbot_site.lib.adminkit import Waking, column
from swwbot_site.lib.wake import Channel


@admin.register(Room)
class RoomAdmin(Waking):
    """Who may speak in a domain, and how readily."""

    empty = "A room gives one part (domain) of a feed rules of its own. Without rooms the feed's rules hold everywhere."
    form = Strategic
    channels = (Channel.LISTEN,)
    list_display = ("domain", "feed", "speakers", "max_repliers", "max_bot_run", "strategy", "silence_s")
    list_filter = ("feed",)
    list_select_related = ("feed",)
    search_fields = ("domain", "feed__name")
    autocomplete_fields = ("feed", "entities")
    fieldsets = (
        (None, {"fields": (("feed", "domain"), "entities")}),
        ("Instead of what the feed says", {"fields": (("max_repliers", "strategy"), ("max_bot_run", "silence_s"))}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Room]:
        """Each with the number of its members."""
        found: QuerySet[Room] = super().get_queryset(request)
        return found.annotate(members=Count("entities"))

    @column("who may speak", ordering="members")
    def speakers(self, row: Any) -> str:
        return f"{row.members} entities" if row.members else "everybody"
