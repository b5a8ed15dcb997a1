"""The one row of the conversation's settings, and the global stop."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from conversations import read
from conversations.models import ConversationPolicy
from conversations.stop import resume, stop
from swwbot_site.lib.adminkit import Waking
from swwbot_site.lib.wake import Channel


@admin.register(ConversationPolicy)
class PolicyAdmin(Waking):
    """Changes take effect in running engines at once."""

    channels = (Channel.SETTINGS, Channel.LISTEN, Channel.DELIVER)
    change_form_outer_before_template = "conversations/stopping.html"
    fieldsets = (
        ("Every answer", {"fields": ("filter_out", "trim_after", "try_again")}),
        ("Every request", {"fields": ("stop", "warmup")}),
        ("By chance", {"fields": ("require_human_s",)}),
    )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one row: go to it."""
        ConversationPolicy.objects.get_or_create(pk=1)
        return HttpResponseRedirect(reverse("admin:conversations_conversationpolicy_change", args=[1]))

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form, below the switch that stops everything."""
        switch = {"stopped": read.stopped(), "may_stop": self.has_stop_permission(request)}
        response: HttpResponse = super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **switch})
        return response

    def get_urls(self) -> list[URLPattern]:
        """The address of the switch."""
        view = self.admin_site.admin_view(self.switch)
        return [path("switch/", view, name="conversations_conversationpolicy_switch"), *super().get_urls()]

    def switch(self, request: HttpRequest) -> HttpResponse:
        """Stop all posting, or resume: ask once more, then do it."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_stop_permission(request):
            return HttpResponse("You may not stop or resume posting.", status=403)
        going, why, who = request.POST.get("verb") == "stop", request.POST.get("why", ""), request.user.get_username()
        if "sure" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": "Stop all posting" if going else "Resume posting",
                "going": going,
                "why": why,
                "stopped": read.stopped(),
            }
            return TemplateResponse(request, "conversations/switch.html", context)
        done = stop(who, why) if going else resume(who)
        if done:
            messages.success(request, "Posting is stopped everywhere." if going else "Answers are posted again.")
        else:
            messages.warning(request, "Posting was stopped already." if going else "Posting was not stopped.")
        return HttpResponseRedirect(reverse("admin:conversations_conversationpolicy_change", args=[1]))

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whether this person may stop and resume posting, be it without changing the policy."""
        return bool(request.user.has_perm("conversations.stop_posting"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
