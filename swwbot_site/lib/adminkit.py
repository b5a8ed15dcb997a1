"""What every admin page of the project has in common.

A form saves only what was changed in it: engines write other columns of the same row while somebody looks at the page.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from django.contrib.admin.utils import get_fields_from_path
from django.core.exceptions import PermissionDenied
from django.db.models import IntegerField, JSONField, Model, QuerySet, TextField
from django.forms import BaseModelForm, CharField, ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from swwbot_site.lib.leafing import Leafing, newest
from swwbot_site.lib.wake import Channel, wake

STATES: Final[dict[str, str]] = {
    "online": "success",
    "loaded": "success",
    "done": "success",
    "posted": "success",
    "spent": "success",
    "settled": "success",
    "on": "success",
    "running": "info",
    "loading": "info",
    "posting": "info",
    "ready": "info",
    "reserved": "info",
    "info": "info",
    "held": "warning",
    "draining": "warning",
    "resting": "warning",
    "unloading": "warning",
    "misconfigured": "warning",
    "rate-limited": "warning",
    "expired": "warning",
    "owed": "warning",
    "warning": "warning",
    "offline": "danger",
    "failed": "danger",
    "given-up": "danger",
    "error": "danger",
}
"""The badge of each state; a state that is not here is grey."""


LABELS: Final[dict[str, str]] = {"url": "Address"}
"""What a form calls columns whose own name says little."""

F = TypeVar("F", bound=Callable[..., Any])


def column(description: str, *, ordering: str | None = None, label: Mapping[str, str] | None = None) -> Callable[[F], F]:
    """A computed column; with `label`, a badge whose colour is chosen by the value."""
    decorate: Callable[[F], F] = display(description=description, ordering=ordering, label=label)
    return decorate


class Lines(CharField):
    """A text of several lines. Browsers end lines with two characters; models and comparisons get one."""

    def to_python(self, value: Any) -> Any:
        """The text, its line ends single."""
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text


class Page(ModelAdmin):  # type: ignore[misc]  # django-unfold ships no types
    """A list and a form for one kind of row."""

    show_full_result_count = False
    list_per_page = 50
    list_filter_submit = True
    compressed_fields = True
    warn_unsaved_form = True
    formfield_overrides = {JSONField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 2})}}
    small: tuple[str, ...] = ()
    """Texts that need two lines, not a screen."""
    empty = ""
    """What a list without rows says: what would stand in it, and how it comes there."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, TextField) and not db_field.choices:
            kwargs["form_class"] = Lines
        if label := LABELS.get(db_field.name):
            kwargs.setdefault("label", label)
        elif db_field.name.endswith("_s") and db_field.verbose_name == db_field.name.replace("_", " "):  # a length of time, unnamed
            kwargs.setdefault("label", f"{db_field.verbose_name[:-2].capitalize()}, s")
        if db_field.name in self.small:
            kwargs["widget"] = UnfoldAdminTextareaWidget(attrs={"rows": 2})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Model, form: "ModelForm[Any]", change: bool) -> None:
        """Save a new row whole, and of an old one only the columns that the form changed."""
        if not change:
            obj.save()
            return
        columns = self.columns(form)
        if columns:
            obj.save(update_fields=columns)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows, typed."""
        found: QuerySet[Any] = super().get_queryset(request)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; an action that this person is not offered is forbidden, and not passed over."""
        wanted = request.POST.get("action") if request.method == "POST" else None
        if wanted and wanted not in self.get_actions(request):
            raise PermissionDenied
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def columns(self, form: "BaseModelForm[Any]") -> list[str]:
        """The columns that a form changed."""
        known = {field.name for field in form.instance._meta.concrete_fields}
        return [name for name in form.changed_data if name in known]


class Waking(Page):
    """A page whose rows running engines read: saving wakes them."""

    channels: tuple[Channel, ...] = (Channel.SETTINGS, Channel.SERVE, Channel.LISTEN)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        wake(*self.channels)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        super().delete_model(request, obj)
        wake(*self.channels)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        wake(*self.channels)


class _Sealed:
    """Machines write it, people read it."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Record(_Sealed, Page):
    """A read-only page of a table that may hold millions: never counted whole, and words are looked for in its newest rows."""

    paginator = Leafing
    actions: tuple[str, ...] | None = None
    list_select_related: bool | tuple[str, ...] = True

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """The columns in which words are looked for; those with = before them are for `known`."""
        return [name for name in self.search_fields if not name.startswith("=")]

    def known(self, term: str) -> list[int]:
        """The keys of rows that have this very number or id; each way has an index."""
        found: list[int] = []
        number = term.isascii() and term.isdecimal() and len(term) < 19
        for name in (name[1:] for name in self.search_fields if name.startswith("=")):
            if number or not isinstance(get_fields_from_path(self.model, name)[-1], IntegerField):
                found += self.model._default_manager.filter(**{name: term}).values_list("pk", flat=True)[:100]
        return found

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        """The row of this number or id, however old; otherwise what has these words, among the newest rows (`leafing.NEWEST`)."""
        term = search_term.strip().replace("\x00", "")
        if not term:
            return queryset, False
        exact = queryset.filter(pk__in=self.known(term))
        if exact.exists():
            return exact, False
        words: tuple[QuerySet[Any], bool] = super().get_search_results(request, newest(queryset), term)
        return words


class Inline(TabularInline):  # type: ignore[misc]  # django-unfold ships no types
    """Rows inside another row's page."""

    extra = 0
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows, typed."""
        found: QuerySet[Any] = super().get_queryset(request)
        return found


class Rows(_Sealed, Inline):
    """Read-only rows inside another row's page."""

    max_num = 0
    per_page = 20
    can_delete = False
    show_change_link = True


def facts(lines: Iterable[tuple[str, object]]) -> SafeString:
    """Names and what is to be said of each, one below the other, escaped."""
    return told((), lines)


def told(headers: Sequence[str], rows: Iterable[Iterable[object]]) -> SafeString:
    """A small table inside a row's page, escaped; a dash for no rows."""
    cells = [[str(cell) for cell in row] for row in rows]
    return render_to_string("admin/told.html", {"headers": headers, "rows": cells}) if cells else SafeString("–")


def link(text: str, url: str) -> SafeString:
    """A link to another page, escaped."""
    return format_html('<a class="font-medium text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, text)


def pretty(value: object) -> SafeString:
    """A JSON value as people read it, escaped."""
    if value in (None, "", [], {}):
        return SafeString("–")
    return format_html(
        '<pre class="text-xs" style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>',
        json.dumps(value, indent=2, ensure_ascii=False, default=str),
    )
