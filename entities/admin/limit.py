"""Rate limits, and the ledger they are counted from."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from entities.models import Permit, RateLimit
from swwbot_site.lib.adminkit import STATES, Record, Waking, column


@admin.register(RateLimit)
class RateLimitAdmin(Waking):
    """Of one entity, or of all together when none is named."""

    list_display = ("whose", "kind", "amount")
    list_display_links = ("whose",)
    list_filter = ("kind", ("entity", AutocompleteSelectFilter), ("entity", admin.EmptyFieldListFilter))
    search_fields = ("entity__slug", "entity__username")
    autocomplete_fields = ("entity",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RateLimit]:
        return super().get_queryset(request).select_related("entity")

    @column("of", ordering="entity__slug")
    def whose(self, row: RateLimit) -> str:
        return str(row.entity) if row.entity else "all entities together"


@admin.register(Permit)
class PermitAdmin(Record):
    """Posts reserved and spent."""

    list_display = ("id", "entity", "badge", "reserved_at", "settled_at")
    list_filter = ("state", ("entity", AutocompleteSelectFilter))
    search_fields = ("=id", "entity__slug")
    list_select_related = ("entity",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("entity")

    @column("state", ordering="state", label=STATES)
    def badge(self, row: Permit) -> str:
        return row.state
