"""Personas: who they are, which model speaks for them, and when they speak."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import BaseModelForm
from django.http import HttpRequest
from simple_history.admin import SimpleHistoryAdmin

from entities import switch
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib.adminkit import Inline, Waking, column
from swwbot_site.lib.words import short


class Limits(Inline):
    """How often it may post."""

    model = RateLimit
    verbose_name_plural = "rate limits"


@admin.register(Entity)
class EntityAdmin(SimpleHistoryAdmin, Waking):  # type: ignore[misc]
    """Every change is kept as a version; switching goes through the verb, so that it is told and takes effect at once."""

    inlines = (Limits,)
    actions = ("enable", "disable")
    small = ("disabled_reason", "user_prompt")
    list_display = (
        "slug",
        "username",
        "badge",
        "model_named",
        "response_chance",
        "priority",
        "limited",
        "posting",
        "preferred_server",
        "color",
    )
    list_display_links = ("slug", "username")
    list_filter = ("enabled", "hold", "responds_to_humans", "responds_to_all_ai", "prompt_format", "model")
    search_fields = ("slug", "username", "model", "aliases", "style", "mood")
    history_list_display = ("enabled", "model")
    ordering = ("slug",)
    fieldsets = (
        (
            None,
            {"fields": (("slug", "username"), ("color", "aliases"), ("model", "preferred_server"), ("enabled", "disabled_reason"), "hold")},
        ),
        (
            "Prompt",
            {
                "classes": ("tab",),
                "fields": (
                    "system_prompt",
                    "user_prompt",
                    ("prompt_format", "system_role", "messages_to_read"),
                    ("add_newline_to_context", "add_entity_username"),
                ),
            },
        ),
        (
            "When it speaks",
            {
                "classes": ("tab",),
                "fields": (
                    ("response_chance", "weight", "priority"),
                    ("responds_to_humans", "responds_to_all_ai", "responds_to_these_ai"),
                    ("max_age_s", "when_limited"),
                    ("style", "mood", "interests"),
                ),
            },
        ),
        (
            "Sampling",
            {
                "classes": ("tab",),
                "fields": (
                    ("temperature", "max_tokens"),
                    ("top_p", "top_k", "min_p"),
                    ("repeat_penalty", "frequency_penalty", "presence_penalty"),
                    "stop",
                    "cache_answers",
                ),
            },
        ),
        ("Cleaning", {"classes": ("tab",), "fields": ("filter_out", "trim_after", "trim_whitespace", "extra")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entity]:
        def number(rows: QuerySet[Any]) -> Coalesce:
            own = rows.filter(entity=OuterRef("pk")).order_by().values("entity")
            return Coalesce(Subquery(own.annotate(n=Count("pk")).values("n")), 0)

        found: QuerySet[Entity] = super().get_queryset(request)
        return found.annotate(limits_n=number(RateLimit.objects.all()), reserved_n=number(Permit.objects.filter(state="reserved")))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save what was changed; `enabled` through the verb."""
        super().save_model(request, obj, form, change)
        if change and "enabled" in form.changed_data:
            if obj.enabled:
                switch.enable([obj.pk])
            else:
                switch.disable([obj.pk], obj.disabled_reason or f"switched off by {request.user.get_username()}")

    def columns(self, form: "BaseModelForm[Any]") -> list[str]:
        switched = {"enabled", "disabled_reason"} if "enabled" in form.changed_data else set()
        return [name for name in super().columns(form) if name not in switched]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without the deletion of many: an entity's messages would go with it."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    @admin.action(description="Switch on", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Entity]) -> None:
        n = switch.enable(queryset.values_list("pk", flat=True))
        messages.success(request, f"{n} switched on.")

    @admin.action(description="Switch off", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Entity]) -> None:
        n = switch.disable(queryset.values_list("pk", flat=True), f"switched off by {request.user.get_username()}")
        messages.success(request, f"{n} switched off.")

    @column("state", ordering="enabled", label={"on": "success", "off": "danger", "held": "warning"})
    def badge(self, row: Entity) -> str:
        if not row.enabled:
            return "off"
        return "held" if row.hold else "on"

    @column("model", ordering="model")
    def model_named(self, row: Entity) -> str:
        return short(row.model, 40) if row.model else "(default)"

    @column("limits", ordering="limits_n")
    def limited(self, row: Any) -> int:
        return int(row.limits_n)

    @column("under way", ordering="reserved_n")
    def posting(self, row: Any) -> int:
        return int(row.reserved_n)
