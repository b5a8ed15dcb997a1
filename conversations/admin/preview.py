"""The page that shows what an entity would send to its model for a message."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from conversations.preview import preview
from swwbot_site.lib.adminkit import pretty
from swwbot_site.lib.errors import BotError


@require_safe
@permission_required(("entities.view_entity", "conversations.view_message"), raise_exception=True)
def page(request: HttpRequest, entity: int) -> HttpResponse:
    """The request of an entity for `?message=NUMBER`, or for the newest message."""
    wanted = request.GET.get("message", "").strip()
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "What it would send", "entity": entity, "wanted": wanted}
    status = 200
    try:
        if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 18):
            context["error"] = f"{wanted[:40]!r} is no message's number. The list of messages shows them."
        else:
            found = preview(entity, int(wanted) if wanted else None)
            rest = {name: value for name, value in found.request.items() if name != "messages"}
            context |= {"found": found, "rest": pretty(rest), "title": f"What {found.entity} would send"}
    except BotError as error:
        context["error"] = str(error)
        status = 404 if error.code == "no-entity" else 200
    return render(request, "conversations/preview.html", context, status=status)


urlpatterns = [path("<int:entity>/", admin.site.admin_view(page), name="prompt-preview")]
