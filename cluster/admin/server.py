"""Servers, with what is in their memory and on their disks."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, FloatField, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanWidget

from cluster import read
from cluster.admin.attending import DEEDS
from cluster.alter import STAYS
from cluster.bars import bars
from cluster.catalogue import spent
from cluster.logic.lifecycle import HELD
from cluster.models import Offer, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.addresses import elsewhere
from swwbot_site.lib.adminkit import STATES, Rows, Waking, column
from swwbot_site.lib.deeds import Doing
from swwbot_site.lib.words import ago


class ServerForm(forms.ModelForm):  # type: ignore[type-arg]
    """The token is write-only: never rendered, and an empty field keeps it, as long as the address is the same machine's."""

    token = forms.CharField(
        required=False,
        strip=True,
        max_length=500,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Its API token, if it asks for one. Never shown again; empty keeps the stored one while the address stays.",
    )
    forget_token = forms.BooleanField(required=False, widget=UnfoldBooleanWidget(), help_text="Throw the stored token away.")

    class Meta:
        model = Server
        exclude: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["token"] = ""
        self._stored = self.instance.token
        self.fields["token"].label = "API token (one is stored)" if self._stored else "API token"

    def clean(self) -> dict[str, Any]:
        """Put the stored token back where the field was left empty."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("forget_token"):
            cleaned["token"] = ""
        elif not cleaned.get("token"):
            if self._stored and elsewhere(self.instance.url, str(cleaned.get("url", ""))):
                self.add_error("token", STAYS)
            cleaned["token"] = self._stored
        return cleaned


class Placements(Rows):
    """What a server holds in memory now."""

    model = Placement
    verbose_name_plural = "models in memory"
    fields = ("model", "state", "memory", "slots", "context_length", "pinned", "adopted", "loaded_at", "used_at", "failures", "rest_until")
    readonly_fields = fields

    @column("memory held")
    def memory(self, row: Placement) -> str:
        return f"{row.gb:.1f} GB"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(state__in=HELD).select_related("model", "server")


class Offers(Rows):
    """What a server has on its disk."""

    model = Offer
    verbose_name_plural = "models on disk"
    fields = ("model", "key", "pinned", "format", "load_seconds", "tokens_per_s", "answer_seconds", "cooldown_until", "cooldown_reason")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("model", "server")


def load() -> dict[str, Any]:
    """The computed columns of a server's list: GB held, models held, answers in flight."""
    held = Placement.objects.filter(server=OuterRef("pk"), state__in=HELD).order_by().values("server")
    seats = Seat.objects.filter(placement__server=OuterRef("pk")).order_by().values("placement__server")
    return {
        "held_gb": Coalesce(Subquery(held.annotate(n=Sum("gb")).values("n")), Value(0.0), output_field=FloatField()),
        "held": Coalesce(Subquery(held.annotate(n=Count("pk")).values("n")), 0),
        "in_flight": Coalesce(Subquery(seats.annotate(n=Count("pk")).values("n")), 0),
    }


@admin.register(Server)
class ServerAdmin(Doing, Waking):
    """Its owner writes the first part, probes and requests the second."""

    empty = "Add a machine that runs LM Studio, Ollama, llama-server or vLLM, or a cloud; or import a configuration under Running, Imports."
    deeds = DEEDS
    form = ServerForm
    list_before_template = "cluster/live.html"
    inlines = (Placements, Offers)
    list_display = ("name", "url", "badge", "state_reason", "enabled", "memory", "models", "flight", "dialect_spoken", "latency", "seen")
    list_filter = ("state", "enabled", "draining", "dialect", "region")
    search_fields = ("name", "url", "region", "version")
    ordering = ("name",)
    readonly_fields = (
        "state",
        "state_reason",
        "state_since",
        "detected",
        "version",
        "jit",
        "latency_ms",
        "failures",
        "retry_at",
        "seen_at",
        "listed_at",
        "returned_at",
        "pool",
        "withdrawn_at",
        "spent",
    )
    fieldsets = (
        (None, {"fields": (("name", "url"), ("token", "forget_token"), ("dialect", "enabled", "draining"))}),
        ("What it may do", {"fields": (("budget_gb", "slots", "max_models"), ("formats", "preferred_models"), ("region", "weight"))}),
        ("What it costs", {"fields": (("price_in", "price_out", "daily_budget"), "spent")}),
        (
            "What we see of it",
            {
                "fields": (
                    ("state", "state_reason", "state_since"),
                    ("detected", "version", "jit"),
                    ("latency_ms", "failures", "retry_at"),
                    ("seen_at", "listed_at", "returned_at"),
                    ("pool", "withdrawn_at"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Server]:
        found: QuerySet[Server] = super().get_queryset(request)
        return found.annotate(**load())

    def get_urls(self) -> list[URLPattern]:
        """The address of the memory's picture, which pages draw anew while they are open."""
        return [path("memory/", self.admin_site.admin_view(self.memory_view), name="cluster_server_memory"), *super().get_urls()]

    def memory_view(self, request: HttpRequest) -> HttpResponse:
        """What is in memory, of every server."""
        if not self.has_view_or_change_permission(request):
            return HttpResponse("You may not look at servers.", status=403)
        return TemplateResponse(request, "cluster/memory.html", {"bars": bars(read.overview())})

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        """Its placements, offers and seats go with it, though nobody may delete them alone."""
        going, counts, needed, protected = super().get_deleted_objects(objs, request)
        return going, counts, needed - {str(row._meta.verbose_name) for row in (Placement, Offer, Seat)}, protected

    def columns(self, form: Any) -> list[str]:
        forgotten = ["token"] if form.cleaned_data.get("forget_token") else []
        return [*super().columns(form), *forgotten]

    @column("state", ordering="state", label=STATES)
    def badge(self, row: Server) -> str:
        return "draining" if row.state == "online" and row.draining else row.state

    @column("spent today")
    def spent(self, row: Server) -> str:
        return "–" if row.daily_budget is None else f"{spent(clock.now()).get(row.pk, 0.0):.2f} since midnight UTC"

    @column("memory", ordering="held_gb")
    def memory(self, row: Any) -> str:
        return f"{row.held_gb:.0f} of {row.budget_gb:.0f} GB"

    @column("models", ordering="held")
    def models(self, row: Any) -> int:
        return int(row.held)

    @column("in flight", ordering="in_flight")
    def flight(self, row: Any) -> int:
        return int(row.in_flight)

    @column("speaks", ordering="detected")
    def dialect_spoken(self, row: Server) -> str:
        return row.spoken or "–"

    @column("latency", ordering="latency_ms")
    def latency(self, row: Server) -> str:
        return "–" if row.latency_ms is None else f"{row.latency_ms:.0f} ms"

    @column("last answered", ordering="seen_at")
    def seen(self, row: Server) -> str:
        return ago(row.seen_at, clock.now())
