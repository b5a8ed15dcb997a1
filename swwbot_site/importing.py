"""Configuration files in the admin: which were met, and the form that reads one in, after showing what it would change."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from swwbot_site.config.apply import Diff, apply, told
from swwbot_site.config.problems import DocumentError
from swwbot_site.lib.adminkit import Record, column, pretty
from swwbot_site.lib.changes import Action, Change
from swwbot_site.models import ConfigImport
from swwbot_site.rights import IMPORTING

LARGEST = 2_000_000
"""Bytes that are read in by a form; a larger file goes by `manage.py importconfig`."""


class ImportForm(forms.Form):
    """A file, or its text."""

    file = forms.FileField(required=False, widget=UnfoldAdminFileFieldWidget(), help_text="config-aientities.json")
    text = forms.CharField(
        required=False,
        strip=False,
        label="or its text",
        max_length=LARGEST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"}),
    )
    source = forms.CharField(
        required=False,
        max_length=200,
        label="In the place of",
        widget=UnfoldAdminTextInputWidget(),
        help_text="What a file of this name described before and describes no longer is switched off. Empty: the file's own name.",
    )

    def clean(self) -> dict[str, Any]:
        """With `content` (bytes) and a `source` that is not empty."""
        said: dict[str, Any] = super().clean() or {}
        file: UploadedFile[Any] | None = said.get("file")
        if bool(file) == bool(said.get("text")):
            raise forms.ValidationError("Choose a file, or put its text into the field.")
        if file and (file.size or 0) > LARGEST:
            raise forms.ValidationError(f"The file has more than {LARGEST // 1_000_000} MB. Import it with manage.py importconfig FILE.")
        content = file.read() if file else said["text"].encode("utf-8", "surrogatepass")
        return said | {"content": content, "source": said.get("source") or (str(file.name)[:200] if file else "admin")}


@admin.register(ConfigImport)
class ConfigImportAdmin(Record):
    """Which configuration file was met where, and what became of it; and the way to read one in."""

    empty = "No configuration file was met yet."
    list_display = ("at", "source", "host", "badge", "version", "content")
    list_filter = ("outcome", "source", "host")
    search_fields = ("source", "host", "^digest")
    fieldsets = ((None, {"fields": (("source", "host", "at"), ("outcome", "version"), "digest", "names", "gone")}),)
    readonly_fields = ("names", "gone")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A file holds servers, settings, feeds and entities, so whoever reads one in needs the right to each."""
        return bool(request.user.has_perms(IMPORTING))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for a file, tell what it would change, and do that once somebody has said that he is sure."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
        context = {**self.admin_site.each_context(request), "title": "Import a configuration", "opts": self.opts, "form": form}
        if request.method == "POST" and form.is_valid():
            content, source, sure = form.cleaned_data["content"], form.cleaned_data["source"], "sure" in request.POST
            try:
                diff = apply(content, source, dry=not sure)
            except DocumentError as error:
                context["problems"] = error.problems
            else:
                if sure:
                    messages.success(request, f"{source} is imported: {diff}.")
                    return HttpResponseRedirect(reverse("admin:swwbot_site_configimport_changelist"))
                context |= {"diff": diff, "rows": _rows(diff), "problems": diff.warnings, "content": content.decode(), "source": source}
        response = TemplateResponse(request, "admin/import.html", context)
        add_never_cache_headers(response)
        return response

    @column("outcome", ordering="outcome", label={"imported": "success", "rejected": "danger", "stale": "warning"})
    def badge(self, row: ConfigImport) -> str:
        return row.outcome

    @column("digest")
    def content(self, row: ConfigImport) -> str:
        return row.digest[:12]

    @column("what the file says")
    def names(self, row: ConfigImport) -> SafeString:
        return pretty(row.said)

    @column("disabled since")
    def gone(self, row: ConfigImport) -> SafeString:
        return pretty(row.retired)


def _rows(diff: Diff) -> Sequence[tuple[str, str, str, str]]:
    """What becomes of which row: action, kind, name, and of a changed one the columns with before and after."""
    return [(str(one.action), one.kind, one.name, "" if one.action is Action.ADDED else _how(one)) for one in diff.changes]


def _how(change: Change) -> str:
    return "; ".join(f"{name}: {pair[0] or '–'} → {pair[-1] or '–'}" for name, pair in told(change, 60).items())
