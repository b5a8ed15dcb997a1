"""Tokens in the admin, and the page of whatever is made with a secret. A secret is in the answer to the form that makes it, and nowhere else."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from swwbot_site import tokens
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import Record, column
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import ago
from swwbot_site.models import Token


def lines(text: str) -> list[str]:
    """What stands on the lines of a text, without empty ones."""
    return [line.strip() for line in text.splitlines() if line.strip()]


class TokenForm(forms.Form):
    """What a new token is good for."""

    name = forms.CharField(max_length=tokens.LONGEST, widget=UnfoldAdminTextInputWidget(), help_text="Which program it is for.")
    user = forms.ModelChoiceField(
        User.objects.filter(is_active=True).order_by("username"),
        label="Acts for",
        widget=UnfoldAdminSelect2Widget(),
        help_text="It may no more than this person.",
    )
    scopes = forms.MultipleChoiceField(choices=Token.Scope.choices, widget=UnfoldAdminSelect2MultipleWidget())
    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=36_500,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="How long it is good. Empty: for ever.",
    )
    priority = forms.IntegerField(
        min_value=0, max_value=99, initial=50, widget=UnfoldAdminIntegerFieldWidget(), help_text="Of its requests to models; 0 is first."
    )
    models = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), help_text="The models it may ask, one a line. Empty: all."
    )
    per_minute = forms.IntegerField(
        min_value=1, max_value=1_000_000, initial=600, widget=UnfoldAdminIntegerFieldWidget(), help_text="Requests it may make in a minute."
    )
    at_once = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=1_000_000,
        initial=0,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Answers of models it may wait for at the same time. 0: any number.",
    )

    def secret(self, by: Any) -> tuple[str, str]:
        """Make it; its name and its secret. Raises BotError."""
        said = self.cleaned_data
        row, secret = tokens.make(
            said["name"],
            said["user"],
            said["scopes"],
            who=by.get_username(),
            by=by,
            lasts=timedelta(days=said["days"]) if said["days"] else None,
            priority=said["priority"],
            models=lines(said["models"]),
            per_minute=said["per_minute"],
            at_once=said["at_once"] or 0,
        )
        return row.name, secret


class Secretive(Record):
    """Rows that are made with a secret, and by no other form than this."""

    asks: ClassVar[Any]
    """The form. Its `secret` makes the row for a person, and gives its name and its secret; raises BotError, ValidationError."""
    title: ClassVar[str]

    def _may(self, request: HttpRequest, verb: str) -> bool:
        return bool(request.user.has_perm(f"{self.opts.app_label}.{verb}_{self.opts.model_name}"))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "add")

    def has_alter_permission(self, request: HttpRequest) -> bool:
        """Whether this person may use the actions; no form changes these rows."""
        return self._may(request, "change")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask, make, and show the secret in the answer itself: it is not to be found by going back, nor in a session."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = self.asks(request.POST or None)
        context = {**self.admin_site.each_context(request), "title": self.title, "opts": self.opts, "form": form}
        if request.method == "POST" and form.is_valid():
            try:
                name, secret = form.secret(request.user)
            except BotError as error:
                form.add_error(None, str(error))
            except ValidationError as error:
                form.add_error(None, "; ".join(error.messages))
            else:
                context |= {"name": name, "secret": secret}
        response = TemplateResponse(request, "admin/secret.html", context)
        add_never_cache_headers(response)
        return response


@admin.register(Token)
class TokenAdmin(Secretive):
    """Which programs may speak to the API."""

    empty = "A token lets a program use the API and the gateway."
    asks = TokenForm
    title = "Make a token"
    actions = ("revoke",)
    list_display = ("name", "begins", "user", "good_for", "badge", "expires_at", "used")
    search_fields = ("name", "prefix", "user__username")
    list_filter = ("user",)
    fieldsets = (
        (None, {"fields": (("name", "prefix"), ("user", "scopes"), ("created_at", "expires_at"), ("revoked_at", "used_at"))}),
        ("Its requests", {"fields": ("priority", ("per_minute", "at_once"), "models_allowed")}),
    )

    @admin.action(description="Revoke", permissions=["alter"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        n = tokens.revoke(list(queryset.values_list("pk", flat=True)), request.user.get_username())
        messages.success(request, f"{n} revoked: they are good for nothing from now on.")

    @column("begins", ordering="prefix")
    def begins(self, row: Token) -> str:
        return f"{tokens.MARK}{row.prefix}…"

    @column("good for")
    def good_for(self, row: Token) -> str:
        return ", ".join(row.scopes)

    @column("state", label={"good": "success", "expired": "warning", "revoked": "danger"})
    def badge(self, row: Token) -> str:
        return tokens.state(row)

    @column("last used", ordering="used_at")
    def used(self, row: Token) -> str:
        return ago(row.used_at, clock.now())
