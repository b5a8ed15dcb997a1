"""What every admin page of the project has in common.

A form saves only what was changed in it: engines write other columns of the same row while somebody looks at the page.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from django.db.models import JSONField, Model, QuerySet, TextField
from django.forms import BaseModelForm, CharField, ModelForm
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextareaWidget

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

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, TextField) and not db_field.choices:
            kwargs["form_class"] = Lines
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
    """A read-only page of a big table: never counted, newest first."""

    paginator = InfinitePaginator
    actions: tuple[str, ...] | None = None
    list_select_related: bool | tuple[str, ...] = True


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
    can_delete = False
    show_change_link = True


def facts(lines: Iterable[tuple[str, object]]) -> SafeString:
    """Names and what is to be said of each, one below the other, escaped."""
    return told((), lines)


def told(headers: Sequence[str], rows: Iterable[Iterable[object]]) -> SafeString:
    """A small table inside a row's page, escaped; a dash for no rows."""
    cells = [[str(cell) for cell in row] for row in rows]
    return render_to_string("admin/told.html", {"headers": headers, "rows": cells}) if cells else SafeString("–")


def pretty(value: object) -> SafeString:
    """A JSON value as people read it, escaped."""
    if value in (None, "", [], {}):
        return SafeString("–")
    return format_html(
        '<pre class="text-xs" style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>',
        json.dumps(value, indent=2, ensure_ascii=False, default=str),
    )
