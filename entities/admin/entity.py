"""Personas: who they are, which model speaks for them, and when they speak."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import BaseModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from simple_history.admin import SimpleHistoryAdmin

from entities import chronicle, read, switch, versions
from entities.admin.anew import Anew
from entities.admin.form import EntityForm
from entities.admin.past import Past
from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import Inline, Waking, column, told
from swwbot_site.lib.words import ago, short


class Limits(Inline):
    """How often it may post."""

    model = RateLimit
    verbose_name_plural = "rate limits"
    fields = ("kind", "amount", "every", "feed")
    autocomplete_fields = ("feed",)


@admin.register(Entity)
class EntityAdmin(Anew, Past, SimpleHistoryAdmin, Waking):  # type: ignore[misc]
    """Every change is kept as a version; switching goes through the verb, so that it is told and takes effect at once."""

    empty = "Add a persona that speaks; or import a configuration under Running, Imports."
    form = EntityForm
    change_form_outer_before_template = "entities/beside.html"
    inlines = (Limits,)
    readonly_fields = ("left",)
    actions = ("enable", "disable", "anew")
    small = ("disabled_reason", "user_prompt")
    list_display = (
        "slug",
        "username",
        "badge",
        "model_named",
        "response_chance",
        "priority",
        "remaining",
        "free",
        "posting",
        "preferred_server",
        "why",
    )
    list_display_links = ("slug", "username")
    list_filter = ("enabled", "hold", "responds_to_humans", "responds_to_all_ai", "prompt_format", "model")
    search_fields = ("slug", "username", "model", "aliases", "style", "mood")
    history_list_display = ("enabled", "model")
    ordering = ("slug",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("slug", "username"),
                    ("color", "aliases"),
                    ("model", "preferred_server"),
                    ("enabled", "disabled_reason"),
                    ("hold", "max_failures"),
                    "left",
                )
            },
        ),
        (
            "Prompt",
            {
                "classes": ("tab",),
                "fields": (
                    "system_prompt",
                    "user_prompt",
                    ("prompt_format", "system_role"),
                    ("messages_to_read", "keep_names"),
                    ("add_newline_to_context", "add_entity_username"),
                    "warmup",
                    ("style", "mood"),
                    "use_traits",
                ),
            },
        ),
        (
            "When it speaks",
            {
                "classes": ("tab",),
                "fields": (
                    ("response_chance", "weight"),
                    ("priority", "max_age_s"),
                    ("responds_to_humans", "responds_to_all_ai"),
                    ("responds_to_these_ai", "when_limited"),
                    ("triggers", "interests"),
                ),
            },
        ),
        (
            "Sampling",
            {
                "classes": ("tab",),
                "fields": (
                    ("temperature", "max_tokens"),
                    ("top_p", "top_k"),
                    ("min_p", "repeat_penalty"),
                    ("frequency_penalty", "presence_penalty"),
                    ("stop", "cache_answers"),
                ),
            },
        ),
        (
            "Cleaning",
            {
                "classes": ("tab",),
                "fields": (("filter_out", "trim_after"), ("newlines", "trim_whitespace"), ("links", "markup"), ("max_similarity", "extra")),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entity]:
        own = Permit.objects.filter(state="reserved", entity=OuterRef("pk")).order_by().values("entity")
        found: QuerySet[Entity] = super().get_queryset(request)
        return found.annotate(reserved_n=Coalesce(Subquery(own.annotate(n=Count("pk")).values("n")), 0))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, each of its entities with what its limits leave now."""
        found = super().get_changelist_instance(request)
        rows = list(found.result_list)
        quotas = read.quotas([row.pk for row in rows], clock.now())
        for row in rows:
            row.quota = quotas[row.pk]
        found.result_list = rows
        return found

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page, with the ways that lead on from it."""
        known = object_id is not None and object_id.isdecimal() and len(object_id) < 19
        row = Entity.objects.filter(pk=int(object_id or 0)).first() if known else None
        ways = [
            ("Preview of its prompt", "prompt-preview", request.user.has_perm("conversations.view_message")),
            ("Try it", "entity-try", self.has_operate_permission(request)),
            ("Versions", "admin:entities_entity_history", True),
            ("Copy", "admin:entities_entity_copy", self.has_add_permission(request)),
            ("Export", "entity-export", True),
        ]
        beside = {"entity": row, "ways": [(text, reverse(name, args=[row.pk])) for text, name, may in ways if may] if row else []}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **beside})
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save what was changed; its version is kept when its limits are saved too."""
        columns = self.columns(form)
        if columns or not change:
            chronicle.quietly(obj, columns if change else None)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the limits, then keep all of it as one version; `enabled` goes through the verb, which keeps it."""
        super().save_related(request, form, formsets, change)
        row, who = Entity.objects.get(pk=form.instance.pk), request.user.get_username()
        if change and "enabled" in form.changed_data:
            if form.instance.enabled:
                switch.enable([row.pk], who)
            else:
                switch.disable([row.pk], form.cleaned_data["disabled_reason"] or f"switched off by {who}", who)
            return
        last = versions.versions(row.pk, 1)
        if not last:
            chronicle.keep([row], who, "changed in the admin" if change else "made in the admin", new=[] if change else [row.pk])
        elif fields := versions.diff(row.pk, last[0].number):
            chronicle.keep([row], who, f"changed in the admin: {', '.join(fields)}")

    def columns(self, form: "BaseModelForm[Any]") -> list[str]:
        switched = {"enabled", "disabled_reason"} if "enabled" in form.changed_data else set()
        return [name for name in super().columns(form) if name not in switched]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without the deletion of many: an entity's messages would go with it."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    @admin.action(description="Switch on", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Entity]) -> None:
        n = switch.enable(queryset.values_list("pk", flat=True), request.user.get_username())
        messages.success(request, f"{n} switched on.")

    @admin.action(description="Switch off", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Entity]) -> None:
        who = request.user.get_username()
        n = switch.disable(queryset.values_list("pk", flat=True), f"switched off by {who}", who)
        messages.success(request, f"{n} switched off.")

    @column("state", ordering="enabled", label={"on": "success", "off": "danger", "held": "warning"})
    def badge(self, row: Entity) -> str:
        if not row.enabled:
            return "off"
        return "held" if row.hold else "on"

    @column("model", ordering="model")
    def model_named(self, row: Entity) -> str:
        return short(row.model, 40) if row.model else "(default)"

    @column("left now")
    def remaining(self, row: Any) -> str:
        return str(row.quota.least)

    @column("next free")
    def free(self, row: Any) -> str:
        return "now" if row.quota.allowed or row.quota.free_at is None else ago(row.quota.free_at, clock.now())

    @column("under way", ordering="reserved_n")
    def posting(self, row: Any) -> int:
        return int(row.reserved_n)

    @column("why off")
    def why(self, row: Entity) -> str:
        return "" if row.enabled else format_html('<span class="block" style="min-width: 16rem">{}</span>', short(row.disabled_reason, 100))

    @column("limits now")
    def left(self, row: Entity) -> SafeString:
        if not row.pk:
            return SafeString("–")
        now = clock.now()
        quota = read.limits(row.pk, now)
        return told(
            ("limit", "left", "free"),
            ((left.rule, left.remaining, ago(left.free_at, now) if left.free_at else "now") for left in quota.left),
        )
