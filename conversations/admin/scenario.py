"""Golden conversations of entities: what they are, how they went last, and which of them an entity has to pass."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import JSONField, ModelForm
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from conversations import scenario
from conversations.models import Scenario
from swwbot_site.lib.adminkit import STATES, Page, column, told
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import short


class Document(JSONField):
    """JSON as people read it."""

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, InvalidJSONInput) else json.dumps(value, indent=2, ensure_ascii=False)


class ScenarioForm(ModelForm):  # type: ignore[type-arg]  # no parameter at run time
    """A scenario that can be played."""

    def clean(self) -> dict[str, Any]:
        """Every problem of the document, with its path."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        entity = cleaned.get("entity") or (self.instance.entity if self.instance.pk else None)
        if entity is not None and cleaned.get("name") and "document" in cleaned:
            for problem in scenario.check(cleaned["document"], entity.slug, cleaned["name"]):
                self.add_error("document", problem)
        return cleaned


@admin.register(Scenario)
class ScenarioAdmin(Page):
    """Changing what is expected makes the last result void."""

    empty = "A scenario is a conversation with what an entity must do in it; required ones guard every change of that entity."
    form = ScenarioForm
    actions = ("play", "require", "release")
    list_display = ("name", "entity", "required", "badge", "ran_at", "wrong")
    list_filter = ("required", "passed", "entity")
    list_select_related = ("entity",)
    search_fields = ("name", "entity__slug", "entity__username")
    autocomplete_fields = ("entity",)
    readonly_fields = ("badge", "ran_at", "course")
    fieldsets = (
        (None, {"fields": (("entity", "name"), "required", "document")}),
        ("How it went last", {"fields": (("badge", "ran_at"), "course")}),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "document":
            kwargs["form_class"] = Document
            kwargs["widget"] = UnfoldAdminTextareaWidget(attrs={"rows": 24, "class": "font-mono"})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and {"document", "entity"} & set(form.changed_data):
            Scenario.objects.filter(pk=obj.pk).update(passed=None, ran_at=None, result={})

    @admin.action(description="Play them", permissions=["change"])
    def play(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> None:
        try:
            results = scenario.run(ids=queryset.values_list("pk", flat=True))
        except BotError as error:
            messages.error(request, str(error))
            return
        for one in results:
            if not one.passed:
                messages.error(request, f"{one.entity}, {one.name}: {'; '.join(one.problems)}")
        if passed := sum(one.passed for one in results):
            messages.success(request, f"{passed} of {len(results)} passed.")

    @admin.action(description="Require them before their entity is changed", permissions=["change"])
    def require(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> None:
        messages.success(request, f"{queryset.update(required=True)} are required.")

    @admin.action(description="Require them no longer", permissions=["change"])
    def release(self, request: HttpRequest, queryset: QuerySet[Scenario]) -> None:
        messages.success(request, f"{queryset.update(required=False)} are not required.")

    @column("result", ordering="passed", label={**STATES, "passed": "success"})
    def badge(self, row: Scenario) -> str:
        return "not played yet" if row.passed is None else "passed" if row.passed else "failed"

    @column("what is wrong")
    def wrong(self, row: Scenario) -> str:
        found = [str(problem) for one in row.result.get("messages", ()) for problem in one["problems"]]
        return short("; ".join([row.result.get("error") or "", *found]).strip("; "), 120)

    @column("course")
    def course(self, row: Scenario) -> SafeString | str:
        beats = row.result.get("messages", ())
        if not beats:
            return row.result.get("error") or "–"
        headers = ("", "who", "said", "answers", "chance", "why", "wrong")
        rows = (
            (
                one["number"],
                one["who"],
                short(one["said"]),
                f"by {one['by']}" if one["answers"] else "no",
                f"{one['chance']:.3f}",
                one["why"],
                "; ".join(one["problems"]),
            )
            for one in beats
        )
        return told(headers, rows)
