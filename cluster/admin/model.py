"""Models, and which servers have them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from cluster import swap, warm
from cluster.logic.lifecycle import HELD
from cluster.models import Generation, LanguageModel, Offer, Placement
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import Record, Rows, Waking, column
from swwbot_site.lib.words import span


class Offers(Rows):
    """The servers that have a model on their disks."""

    model = Offer
    verbose_name_plural = "servers that have it"
    fields = (
        "server",
        "key",
        "pinned",
        "format",
        "size_bytes",
        "load_seconds",
        "tokens_per_s",
        "answer_seconds",
        "cooldown_until",
        "listed_at",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("server", "model")


class ModelForm(forms.ModelForm):  # type: ignore[type-arg]
    """A successor that cannot be one is refused with the reason."""

    class Meta:
        model = LanguageModel
        exclude: tuple[str, ...] = ()

    def clean_successor(self) -> LanguageModel | None:
        """The successor, if it is or may become one."""
        new: LanguageModel | None = self.cleaned_data["successor"]
        if new is not None and "successor" in self.changed_data:
            try:
                swap.check(self.instance, new)
            except swap.SwapRefused as exc:
                raise forms.ValidationError(str(exc)) from exc
        return new


@admin.register(LanguageModel)
class ModelAdmin(Waking):
    """Its size decides where it fits; a size set here is never learned over."""

    empty = "Models come by themselves from the lists of the servers. Add one by hand only to give it a size or other names beforehand."
    form = ModelForm
    inlines = (Offers,)
    list_display = ("key", "size_gb", "size_source", "context_length", "kind", "asked", "offered", "held", "waiting", "successor")
    list_filter = ("size_source", "format", "kind")
    search_fields = ("key", "aliases")
    ordering = ("key",)
    readonly_fields = (
        "successor_at",
        "replaced_at",
        "rate",
        "usual",
        "expected_at",
        "max_context_length",
        "format",
        "kind",
        "size_bytes",
        "params",
    )
    list_select_related = ("successor",)
    autocomplete_fields = ("successor",)
    fieldsets = (
        (None, {"fields": ("key", "aliases", ("size_gb", "size_source"), "context_length", "cache_ttl_s")}),
        ("A newer version", {"fields": (("successor", "successor_at", "replaced_at"),)}),
        ("How much it is asked for", {"fields": (("rate", "usual", "expected_at"),)}),
        ("What servers say", {"fields": (("max_context_length", "format", "kind"), ("size_bytes", "params"))}),
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

    def get_readonly_fields(self, request: HttpRequest, obj: LanguageModel | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "key") if obj else (*self.readonly_fields, "successor")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save; a changed size is the operator's, a changed successor is a swap, or the end of one."""
        if "size_gb" in form.changed_data and "size_source" not in form.changed_data:
            obj.size_source = LanguageModel.SizeSource.OPERATOR
        super().save_model(request, obj, form, change)
        if "successor" in form.changed_data:
            if obj.successor:
                swap.swap(obj, obj.successor, clock.now())
            else:
                swap.undo(obj)

    def columns(self, form: Any) -> list[str]:
        named = [name for name in super().columns(form) if name != "successor"]
        return [*named, "size_source"] if "size_gb" in named and "size_source" not in named else named

    @column("asked a minute", ordering="rate")
    def asked(self, row: LanguageModel) -> str:
        return f"{60 * row.rate:.2g}" if row.rate else "–"

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

    empty = "What servers list stands here as soon as they answer."
    actions = ("keep", "release")
    list_display = (
        "model",
        "server",
        "pinned",
        "format",
        "loads_in",
        "speed",
        "answers_in",
        "cooldown_until",
        "cooldown_reason",
    )
    list_filter = ("pinned", "server", "format")
    search_fields = ("key", "model__key", "server__name")
    fieldsets = (
        (None, {"fields": (("model", "server", "pinned"), ("key", "format", "size_bytes"), "listed_at")}),
        (
            "What was learned of it there",
            {
                "fields": (
                    ("load_seconds", "tokens_per_s", "prefill_per_s"),
                    ("answer_seconds", "answer_spread", "answers"),
                    ("context_limit", "answered_at"),
                )
            },
        ),
        ("What went wrong", {"fields": (("cooldown_until", "crashed_at"), "cooldown_reason")}),
    )

    @column("loads in", ordering="load_seconds")
    def loads_in(self, row: Offer) -> str:
        return span(row.load_seconds)

    @column("tokens/s", ordering="tokens_per_s")
    def speed(self, row: Offer) -> str:
        return "–" if row.tokens_per_s is None else f"{row.tokens_per_s:.0f}"

    @column("answers in", ordering="answer_seconds")
    def answers_in(self, row: Offer) -> str:
        return span(row.answer_seconds)

    def has_keep_permission(self, request: HttpRequest) -> bool:
        """Whether this person may have models kept loaded; the rows themselves nobody changes."""
        return bool(request.user.has_perm("cluster.change_offer"))

    @admin.action(description="Keep loaded there", permissions=["keep"])
    def keep(self, request: HttpRequest, queryset: QuerySet[Offer]) -> None:
        n = warm.keep(queryset.values_list("pk", flat=True), on=True)
        messages.success(request, f"{n} to be kept loaded.")

    @admin.action(description="Keep loaded there no longer", permissions=["keep"])
    def release(self, request: HttpRequest, queryset: QuerySet[Offer]) -> None:
        n = warm.keep(queryset.values_list("pk", flat=True), on=False)
        messages.success(request, f"{n} no longer kept loaded.")
