"""Tokens, webhooks and deliveries in the admin. A secret is in the answer to the form that makes it, and nowhere else."""

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
    UnfoldAdminURLInputWidget,
)

from swwbot_site import tokens
from swwbot_site.lib import clock
from swwbot_site.lib.adminkit import STATES, Record, column
from swwbot_site.lib.errors import BotError
from swwbot_site.lib.words import ago, short
from swwbot_site.models import Delivery, Token, Webhook
from swwbot_site.webhooks import hooks, outbox


def _lines(text: str) -> list[str]:
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
            models=_lines(said["models"]),
            per_minute=said["per_minute"],
        )
        return row.name, secret


class WebhookForm(forms.Form):
    """Where events are to be told."""

    name = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget())
    url = forms.URLField(max_length=500, assume_scheme="https", widget=UnfoldAdminURLInputWidget())
    kinds = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kinds of events, or their beginnings such as reply. — one a line. Empty: all.",
    )

    def secret(self, by: Any) -> tuple[str, str]:
        """Make it; its name and its secret. Raises BotError, ValidationError."""
        said = self.cleaned_data
        _, secret = hooks.make({"name": said["name"], "url": said["url"], "kinds": _lines(said["kinds"])}, by.get_username())
        return said["name"], secret


class Secretive(Record):
    """Rows that are made with a secret, and by no other form than this."""

    asks: ClassVar[type[TokenForm | WebhookForm]]
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

    asks = TokenForm
    title = "Make a token"
    actions = ("revoke",)
    list_display = ("name", "begins", "user", "good_for", "badge", "expires_at", "used")
    search_fields = ("name", "prefix", "user__username")
    list_filter = ("user",)
    fieldsets = (
        (None, {"fields": (("name", "prefix"), ("user", "scopes"), ("created_at", "expires_at"), ("revoked_at", "used_at"))}),
        ("Its requests", {"fields": (("priority", "per_minute"), "models_allowed")}),
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


@admin.register(Webhook)
class WebhookAdmin(Secretive):
    """Where events are told."""

    asks = WebhookForm
    title = "Tell events"
    actions = ("switch_on", "switch_off", "forget")
    list_display = ("name", "url", "wanted", "badge", "since")
    search_fields = ("name", "url")
    list_filter = ("enabled",)
    fieldsets = ((None, {"fields": (("name", "url"), ("kinds", "enabled"), ("created_at", "since", "cursor"))}),)

    @admin.action(description="Switch on", permissions=["alter"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        self._switch(request, queryset, on=True)

    @admin.action(description="Switch off", permissions=["alter"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        self._switch(request, queryset, on=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Webhook], *, on: bool) -> None:
        n = sum(bool(hooks.change(pk, {"enabled": on}, request.user.get_username())) for pk in queryset.values_list("pk", flat=True))
        messages.success(request, f"{n} switched {'on' if on else 'off'}.")

    @admin.action(description="Remove", permissions=["alter"])
    def forget(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> HttpResponse | None:
        if "sure" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": "Remove",
                "question": "Tell these nothing any more, and forget their deliveries?",
                "lines": [f"{row.name}, {row.url}" for row in queryset],
                "ids": [row.pk for row in queryset],
                "action": "forget",
                "button": "Yes, remove them",
                "danger": True,
                "back": request.get_full_path(),
            }
            return TemplateResponse(request, "admin/sure.html", context)
        n = sum(hooks.remove(pk, request.user.get_username()) for pk in list(queryset.values_list("pk", flat=True)))
        messages.success(request, f"{n} removed.")
        return None

    @column("told")
    def wanted(self, row: Webhook) -> str:
        return ", ".join(row.kinds) or "everything"

    @column("state", ordering="enabled", label=STATES)
    def badge(self, row: Webhook) -> str:
        return "on" if row.enabled else "off"


@admin.register(Delivery)
class DeliveryAdmin(Record):
    """What was told to webhooks, or is still to be."""

    actions = ("resend",)
    list_display = ("id", "webhook", "event", "badge", "attempts", "attempt_at", "status", "said")
    list_filter = ("state", "webhook")
    search_fields = ("=id", "=event__id")
    list_select_related = ("webhook", "event")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Whether this person may have deliveries sent again."""
        return bool(request.user.has_perm("swwbot_site.change_delivery"))

    @admin.action(description="Send again", permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        n = outbox.resend(list(queryset.values_list("pk", flat=True)), request.user.get_username())
        messages.success(request, f"{n} are sent again; those that still wait were left alone.")

    @column("state", ordering="state", label={"waiting": "info", "delivered": "success", "failed": "danger"})
    def badge(self, row: Delivery) -> str:
        return row.state

    @column("answer")
    def said(self, row: Delivery) -> str:
        return short(row.answer)
