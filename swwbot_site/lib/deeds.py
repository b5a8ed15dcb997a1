"""Deeds: what people do with rows beside editing them. Each is asked for once more, is done by a POST, and calls one verb.

A page with the mixin `Doing` offers its deeds in the list, for many rows, and as buttons above the form, for one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from swwbot_site.lib.errors import BotError

MOST: Final = 1000
"""So many rows at once; who wants more filters and repeats."""

SHOWN: Final = 20
"""So many are named in the question."""

Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One verb as people ask for it.

    `does` gets the row, the user's name and what was chosen, and returns whether anything changed; a BotError or ValueError is told.
    `sure` is the question, `yes` the button; `choices` are offered with the button of one row, and `ask` says what is chosen.
    """

    name: str
    label: str
    sure: str
    yes: str
    done: str
    does: Callable[[Any, str, str], object]
    needs: str
    """The permission."""
    fits: Callable[[Any], bool] = lambda _: True
    """Whether the row is in a state that allows it."""
    danger: bool = False
    many: bool = True
    """Whether it is offered in the list."""
    ask: str = ""
    choices: Callable[[Any], Choices] | None = None
    usual: str = ""
    """What is chosen where nobody was asked: in the list."""


class Doing:
    """For a ModelAdmin: its `deeds` as actions and buttons."""

    deeds: tuple[Deed, ...] = ()
    change_form_outer_before_template = "admin/deeds.html"

    def get_actions(self: Any, request: HttpRequest) -> dict[str, Any]:
        """The page's own actions, and the deeds that this person may do to many."""
        found: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]  # a mixin of admin pages
        for deed in self.deeds:
            if deed.many and request.user.has_perm(deed.needs):
                found[deed.name] = (partial(_chosen, deed=deed), deed.name, deed.label)
        return found

    def get_urls(self: Any) -> list[URLPattern]:
        """The address of the buttons."""
        opts = self.model._meta
        view = self.admin_site.admin_view(self.do_view)
        return [path("<int:pk>/do/", view, name=f"{opts.app_label}_{opts.model_name}_do"), *super().get_urls()]  # type: ignore[misc]

    def do_view(self: Any, request: HttpRequest, pk: int) -> HttpResponse:
        """One row: ask, or do it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        deed = next((one for one in self.deeds if one.name == request.POST.get("deed")), None)
        row = self.model._default_manager.filter(pk=pk).first()
        if deed is None or row is None:
            raise Http404
        if not request.user.has_perm(deed.needs):
            raise PermissionDenied
        if "sure" not in request.POST:
            return _asked(self, request, deed, [row], {"deed": deed.name}, _page(row))
        _do(request, deed, [row], request.POST.get("choice", deed.usual))
        gone = not self.model._default_manager.filter(pk=pk).exists()
        return HttpResponseRedirect(_page(self.model, "changelist") if gone else _page(row))

    def changeform_view(
        self: Any, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page, with the buttons."""
        known = object_id is not None and object_id.isdecimal() and len(object_id) < 19
        row = self.model._default_manager.filter(pk=int(object_id or 0)).first() if known else None
        fitting = [one for one in self.deeds if row is not None and request.user.has_perm(one.needs) and one.fits(row)]
        offered = [(one, list(one.choices(row)) if one.choices else None) for one in fitting]
        more = {"deeds": [(one, choices) for one, choices in offered if choices is None or choices], "about": row}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **more})  # type: ignore[misc]
        return response


def _page(row: Any, page: str = "change") -> str:
    opts = row._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{page}", args=[row.pk] if page == "change" else [])


def _chosen(page: Any, request: HttpRequest, queryset: QuerySet[Any], *, deed: Deed) -> HttpResponse | None:
    """The action of the list."""
    if not request.user.has_perm(deed.needs):
        raise PermissionDenied
    rows = list(queryset.order_by("pk")[: MOST + 1])
    if len(rows) > MOST:
        messages.error(request, f"That is for at most {MOST} at once. Choose fewer.")
        return None
    if "sure" not in request.POST:
        return _asked(page, request, deed, rows, {"action": deed.name}, request.get_full_path())
    _do(request, deed, rows, deed.usual)
    return None


def _asked(page: Any, request: HttpRequest, deed: Deed, rows: Sequence[Model], fields: dict[str, str], back: str) -> HttpResponse:
    """The question."""
    more = len(rows) - SHOWN
    chosen = request.POST.get("choice", "")
    context = {
        **page.admin_site.each_context(request),
        "title": deed.label,
        "question": deed.sure,
        "lines": [str(row) for row in rows[:SHOWN]] + ([f"and {more} more"] if more > 0 else []),
        "ids": [row.pk for row in rows] if "action" in fields else [],
        "fields": {**fields, **({"choice": chosen} if chosen else {})},
        "chosen": _said(deed, rows, chosen),
        "button": deed.yes,
        "danger": deed.danger,
        "back": back,
        "opts": page.model._meta,
    }
    return TemplateResponse(request, "admin/sure.html", context)


def _said(deed: Deed, rows: Sequence[Model], chosen: str) -> str:
    """What was chosen, in words."""
    known = dict(deed.choices(rows[0])) if deed.choices and rows and chosen else {}
    return known.get(chosen, "")


def _do(request: HttpRequest, deed: Deed, rows: Sequence[Model], choice: str) -> None:
    """Do it, and say of how many; each that was refused says why."""
    done = refused = 0
    for row in rows:
        try:
            done += bool(deed.does(row, request.user.get_username(), choice))
        except (BotError, ValueError) as refusal:
            refused += 1
            if refused <= SHOWN:
                messages.error(request, str(refusal))
    if done:
        messages.success(request, f"{done} {deed.done}.")
    elif not refused:
        messages.warning(request, "Nothing changed: it was so already.")
