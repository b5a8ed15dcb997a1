"""Models, and which servers have them."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from cluster.logic.lifecycle import HELD
from cluster.models import Generation, LanguageModel, Offer, Placement
from swwbot_site.lib.adminkit import Record, Rows, Waking, column


class Offers(Rows):
    """The servers that have a model on their disks."""

    model = Offer
    verbose_name_plural = "servers that have it"
    fields = ("server", "key", "format", "size_bytes", "load_seconds", "tokens_per_s", "answer_seconds", "cooldown_until", "listed_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("server", "model")


@admin.register(LanguageModel)
class ModelAdmin(Waking):
    """Its size decides where it fits; a size set here is never learned over."""

    inlines = (Offers,)
    list_display = ("key", "size_gb", "size_source", "context_length", "max_context_length", "format", "kind", "offered", "held", "waiting")
    list_filter = ("size_source", "format", "kind")
    search_fields = ("key", "aliases")
    ordering = ("key",)
    readonly_fields = ("max_context_length", "format", "kind")
    fieldsets = (
        (None, {"fields": ("key", "aliases", ("size_gb", "size_source"), "context_length")}),
        ("What servers say", {"fields": (("max_context_length", "format", "kind"),)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LanguageModel]:
        def number(rows: QuerySet[Any]) -> Coalesce:
            of_model = rows.filter(model=OuterRef("pk")).order_by().values("model")
            return Coalesce(Subquery(of_model.annotate(n=Count("pk")).values("n")), 0)

        found: QuerySet[LanguageModel] = super().get_queryset(request)
        return found.annotate(
            offers_n=number(Offer.objects.all()),
            held_n=number(Placement.objects.filter(state__in=HELD)),
            waiting_n=number(Generation.objects.filter(state="queued")),
        )

    @column("servers", ordering="offers_n")
    def offered(self, row: Any) -> int:
        return int(row.offers_n)

    @column("in memory", ordering="held_n")
    def held(self, row: Any) -> int:
        return int(row.held_n)

    @column("waiting", ordering="waiting_n")
    def waiting(self, row: Any) -> int:
        return int(row.waiting_n)


@admin.register(Offer)
class OfferAdmin(Record):
    """What the servers' own lists say, and what we learned there."""

    list_display = ("model", "server", "key", "format", "load_seconds", "tokens_per_s", "answer_seconds", "cooldown_until", "listed_at")
    list_filter = ("server", "format")
    search_fields = ("key", "model__key", "server__name")
