"""What is, or was, in the servers' memory."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from cluster import upkeep
from cluster.explain import loaded, told
from cluster.logic.lifecycle import HELD, PlacementState
from cluster.models import Placement
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import STATES, Record, column, facts
from swwbot_site.lib.deeds import Deed, Doing
from swwbot_site.lib.words import ago, short

UNLOADING, GONE = PlacementState.UNLOADING, PlacementState.GONE
RIGHT = "cluster.change_placement"


def _unload(row: Placement, who: str, _: str) -> bool:
    upkeep.unload(row.pk, who)
    return True


DEEDS = (
    Deed(
        name="unload",
        label="Unload",
        sure="Take these models out of memory, each as soon as it is idle and nobody waits for it?",
        yes="Yes, unload",
        done="to leave as soon as idle",
        does=_unload,
        needs=RIGHT,
        fits=lambda row: row.state == PlacementState.LOADED and not row.pinned and not row.dismissed,
        danger=True,
    ),
    Deed(
        name="pin",
        label="Pin",
        sure="Never evict these from memory, whatever is waited for?",
        yes="Yes, pin",
        done="pinned",
        does=lambda row, who, _: upkeep.pin(row.pk, who, on=True),
        needs=RIGHT,
        fits=lambda row: row.state in HELD and not row.pinned,
    ),
    Deed(
        name="unpin",
        label="Unpin",
        sure="May these be evicted again when room is needed?",
        yes="Yes, unpin",
        done="no longer pinned",
        does=lambda row, who, _: upkeep.pin(row.pk, who, on=False),
        needs=RIGHT,
        fits=lambda row: row.state in HELD and row.pinned,
    ),
)


@admin.register(Placement)
class PlacementAdmin(Doing, Record):
    """Every model that is, or was, in a server's memory."""

    empty = "What is in the servers' memory stands here, and what was."
    deeds = DEEDS
    list_display = ("model", "server", "badge", "memory", "seats_taken", "pinned", "origin", "used", "said")
    list_filter = ("state", "pinned", "adopted", "preloaded", "server")
    search_fields = ("instance_id", "model__key", "server__name")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": (("model", "server", "state"), ("instance_id", "slots", "seats_taken"), ("memory", "context_length", "pinned"))}),
        ("Why", {"fields": ("decided", ("caused_by", "adopted", "preloaded"), ("dismissed", "served"))}),
        ("When", {"fields": (("created_at", "load_deadline", "loaded_at"), ("used_at", "expires_at", "ended_at"))}),
        ("Failures", {"fields": (("failures", "rest_until"),)}),
    )
    readonly_fields = ("decided", "seats_taken", "memory")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Placement]:
        found: QuerySet[Placement] = super().get_queryset(request)
        return found.annotate(taken=Count("seats", filter=Q(state__in=HELD)))

    @column("state", ordering="state", label=STATES)
    def badge(self, row: Placement) -> str:
        resting = row.state == PlacementState.LOADED and row.failures and row.rest_until and row.rest_until > clock.now()
        return "resting" if resting else row.state

    @column("memory held", ordering="gb")
    def memory(self, row: Placement) -> str:
        return f"{row.gb:.1f} GB"

    @column("slots taken")
    def seats_taken(self, row: Any) -> str:
        return f"{row.taken} of {row.slots}"

    @column("used", ordering="used_at")
    def used(self, row: Placement) -> str:
        return ago(row.used_at or row.loaded_at, clock.now())

    @column("loaded by")
    def origin(self, row: Placement) -> str:
        return "somebody else" if row.adopted else "a guess" if row.preloaded else row.caused_by or "the cluster"

    @column("why it was loaded, or how it ended")
    def said(self, row: Placement) -> str:
        return short(str(row.departure.get("why", "")) if row.state in (UNLOADING, GONE) and row.departure else row.reason, 90)

    @column("in and out of memory")
    def decided(self, row: Placement) -> SafeString:
        return facts(told(loaded(row)))
