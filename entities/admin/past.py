"""The pages beside an entity's own: its versions, what differs between them, the way back, and a copy."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from entities import bounds, versions
from entities.clone import clone
from entities.errors import EntityError, NoVersion
from entities.logic.difference import Difference
from entities.models import Entity


class CopyForm(forms.Form):
    """What a copy is called."""

    slug = forms.CharField(
        label="Id", max_length=100, widget=UnfoldAdminTextInputWidget(), help_text="How configuration and messages name it."
    )
    username = forms.CharField(
        max_length=16, widget=UnfoldAdminTextInputWidget(), help_text="The name it posts under; several entities may share one."
    )


class Past:
    """For the entities' admin page. `history_view` and `history_form_view` take the places of simple_history's."""

    def get_urls(self) -> list[URLPattern]:
        """The address of the copy's form."""
        view = self.admin_site.admin_view(self.copy_view)  # type: ignore[attr-defined]  # a mixin of admin pages
        urls: list[URLPattern] = super().get_urls()  # type: ignore[misc]
        return [path("<int:pk>/copy/", view, name="entities_entity_copy"), *urls]

    def history_view(self: Any, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Its versions, newest first."""
        row = self._row(request, object_id)
        found = versions.versions(row.pk)
        context = self._context(request, row, f"Versions of {row.slug}") | {"versions": found, "newest": found[0].number if found else 0}
        return TemplateResponse(request, "entities/versions.html", context)

    def history_form_view(self: Any, request: HttpRequest, object_id: str, version_id: str, extra_context: Any = None) -> HttpResponse:
        """One version: what it changed, what going back to it would change, and the button that does it."""
        row = self._row(request, object_id)
        number = int(version_id) if version_id.isdecimal() and len(version_id) < 10 else 0
        here = reverse("admin:entities_entity_simple_history", args=[row.pk, version_id])
        try:
            if request.method == "POST":
                if not self.has_change_permission(request, row):
                    raise PermissionDenied
                done: HttpResponse = self._go_back(request, row, number, here)
                return done
            older = versions.before(row.pk, number)
            changed = versions.diff(row.pk, older, number) if older else {}
            back = versions.way_back(row.pk, number)
        except NoVersion as exc:
            raise Http404(str(exc)) from exc
        told = next((version for version in versions.versions(row.pk, 10_000) if version.number == number), None)
        context = self._context(request, row, f"Version {number} of {row.slug}") | {
            "version": told,
            "changed": _shown(changed),
            "back": _shown(back),
            "may": self.has_change_permission(request, row),
        }
        return TemplateResponse(request, "entities/version.html", context)

    def _go_back(self: Any, request: HttpRequest, row: Entity, number: int, here: str) -> HttpResponse:
        try:
            fields = versions.rollback(row.pk, number, request.user.get_username())
        except NoVersion:
            raise
        except EntityError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(here)
        text = f"Back to version {number}: {', '.join(_label(name) for name in fields)}." if fields else "It is like that version already."
        messages.success(request, text)
        return HttpResponseRedirect(reverse("admin:entities_entity_history", args=[row.pk]))

    def copy_view(self: Any, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask what the copy is called, then make it."""
        row = self._row(request, str(pk))
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = CopyForm(request.POST or None, initial={"slug": f"{row.slug}-2"[:100], "username": row.username})
        if request.method == "POST" and form.is_valid():
            try:
                made = clone(row.pk, form.cleaned_data["slug"], form.cleaned_data["username"], request.user.get_username())
            except EntityError as exc:
                form.add_error(None, str(exc))
            else:
                messages.success(request, f"A copy of {row.slug}. It is off: switch it on when it is ready.")
                return HttpResponseRedirect(reverse("admin:entities_entity_change", args=[made]))
        return TemplateResponse(request, "entities/copy.html", self._context(request, row, f"A copy of {row.slug}") | {"form": form})

    def _row(self: Any, request: HttpRequest, object_id: str) -> Entity:
        known = object_id.isdecimal() and len(object_id) < 19
        row = Entity.objects.filter(pk=int(object_id)).first() if known else None
        if row is None:
            raise Http404("There is no such entity.")
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        return row

    def _context(self: Any, request: HttpRequest, row: Entity, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "entity": row, "opts": Entity._meta}


def _label(name: str) -> str:
    names = {field.attname: str(field.verbose_name) for field in Entity._meta.concrete_fields}
    return names.get(name, name.replace("_", " "))


def _shown(told: Mapping[str, Difference]) -> list[dict[str, Any]]:
    """Differences as the page shows them: label, before, after, and marked lines."""
    feeds = bounds.feeds() if "limits" in told else {}
    marks = {"+": "added", "-": "gone", "@": "place"}
    return [
        {
            "label": _label(name),
            "before": _said(name, one.before, feeds),
            "after": _said(name, one.after, feeds),
            "lines": [(marks.get(line[:1], ""), line) for line in one.lines],
        }
        for name, one in told.items()
    ]


def _said(name: str, value: Any, feeds: Mapping[int, str]) -> str:
    if name == "limits":
        return "\n".join(_limit(limit, feeds) for limit in value) or "no limits"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "–"
    return json.dumps(value, ensure_ascii=False, indent=1) if isinstance(value, list | dict) else str(value)


def _limit(limit: Mapping[str, Any], feeds: Mapping[int, str]) -> str:
    """One limit in words."""
    where = "" if limit["feed"] is None else f" in {feeds.get(limit['feed'], 'a feed that is gone')}"
    if limit["kind"] == "gap":
        return f"{limit['amount']} s between posts{where}"
    span = limit["kind"] if limit["every"] == 1 else f"{limit['every']} {limit['kind']}s"
    return f"{limit['amount']} posts in any {span}{where}"
