"""Webhooks and their deliveries in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
)

from swwbot_site.keyring import Secretive, lines
from swwbot_site.lib.adminkit import STATES, Record, column
from swwbot_site.lib.words import short
from swwbot_site.models import Delivery, Webhook
from swwbot_site.webhooks import hooks, outbox


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
        _, secret = hooks.make({"name": said["name"], "url": said["url"], "kinds": lines(said["kinds"])}, by.get_username())
        return said["name"], secret


@admin.register(Webhook)
class WebhookAdmin(Secretive):
    """Where events are told."""

    empty = "A webhook tells another program, by a signed POST, what happens here."
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

    empty = "What webhooks were told, or are still to be told."
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
