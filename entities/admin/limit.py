"""Rate limits, and the ledger they are counted from."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import localtime
from simple_history.admin import SimpleHistoryAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from entities import chronicle, limits
from entities.admin.anew import Anew
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import STATES, Record, Waking, column


@admin.register(RateLimit)
class RateLimitAdmin(Anew, SimpleHistoryAdmin, Waking):  # type: ignore[misc]
    """Of one entity, or of all together when none is named; anywhere, or in one feed. Every change is kept."""

    empty = "Nobody is limited. A limit is of one entity, or of all together."
    actions = ("anew",)
    list_display = ("whose", "where", "rule", "remaining", "free")
    list_display_links = ("whose",)
    list_filter = (
        "kind",
        ("entity", AutocompleteSelectFilter),
        ("entity", admin.EmptyFieldListFilter),
        ("feed", AutocompleteSelectFilter),
    )
    search_fields = ("entity__slug", "entity__username", "feed__name")
    autocomplete_fields = ("entity", "feed")
    fields = (("entity", "feed"), "kind", ("amount", "every"))
    history_list_display = ("kind", "amount", "every")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RateLimit]:
        return super().get_queryset(request).select_related("entity", "feed")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, each of its limits with what it leaves now."""
        found = super().get_changelist_instance(request)
        rows = list(found.result_list)
        states = limits.standing([row.pk for row in rows], clock.now())
        for row in rows:
            row.standing = states.get(row.pk)
        found.result_list = rows
        return found

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save it, and keep a version of the entity whose limit it is, or was."""
        owners = {obj.entity_id, form.initial.get("entity")}
        super().save_model(request, obj, form, change)
        self._keep(request, owners, f"a limit {'changed' if change else 'added'} in the admin")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        owner = obj.entity_id
        super().delete_model(request, obj)
        self._keep(request, {owner}, "a limit deleted in the admin")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        owners = set(queryset.values_list("entity_id", flat=True))
        super().delete_queryset(request, queryset)
        self._keep(request, owners, "limits deleted in the admin")

    def _keep(self, request: HttpRequest, owners: set[int | None], why: str) -> None:
        rows = list(Entity.objects.filter(pk__in=[pk for pk in owners if pk]).order_by("pk"))
        chronicle.keep(rows, request.user.get_username(), why)

    @column("of", ordering="entity__slug")
    def whose(self, row: RateLimit) -> str:
        return str(row.entity) if row.entity else "all entities together"

    @column("in", ordering="feed__name")
    def where(self, row: RateLimit) -> str:
        return str(row.feed) if row.feed else "all feeds together"

    @column("at most", ordering="kind")
    def rule(self, row: RateLimit) -> str:
        return row.told()

    @column("left now")
    def remaining(self, row: Any) -> str:
        return str(row.standing.remaining) if row.standing else "–"

    @column("one more is free")
    def free(self, row: Any) -> str:
        if row.standing is None or row.standing.remaining:
            return "now"
        if row.standing.pending and row.standing.earliest is None:
            return "when a post under way is out"
        return f"{localtime(row.standing.free_at):%Y-%m-%d %H:%M:%S}"


@admin.register(Permit)
class PermitAdmin(Record):
    """Posts reserved, spent, given back, or forgiven."""

    empty = "Each post that an entity may make stands here; limits are counted from it."
    list_display = ("id", "entity", "feed", "badge", "reserved_at", "settled_at")
    list_filter = ("state", ("entity", AutocompleteSelectFilter), ("feed", AutocompleteSelectFilter))
    search_fields = ("=id", "entity__slug")
    list_select_related = ("entity", "feed")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("entity", "feed")

    @column("state", ordering="state", label=STATES)
    def badge(self, row: Permit) -> str:
        return row.state
