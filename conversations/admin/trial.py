"""The page where people try an entity: its model answers, and nothing is posted."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods, require_safe

from conversations.rehearse import outcome, rehearse
from entities import read
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError

RIGHT = "entities.operate_entity"


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(RIGHT, raise_exception=True)
def ask(request: HttpRequest, entity: int) -> HttpResponse:
    """The form: own words, or the number of a message. Sent, it queues the request and shows what becomes of it."""
    said, wanted = request.POST.get("said", ""), request.POST.get("message", "").strip()
    context = _context(request, entity) | {"said": said, "wanted": wanted}
    if request.method == "POST":
        try:
            if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 18):
                raise ValueError(f"{wanted[:40]!r} is no message's number. The list of messages shows them.")
            who = request.user.get_username()
            pk = rehearse(entity, who, clock.now(), said=said, message=int(wanted) if wanted else None)
        except (BotError, ValueError) as error:
            context["error"] = str(error)
        else:
            return HttpResponseRedirect(reverse("entity-trial", args=[entity, pk]))
    return render(request, "conversations/try.html", context)


@require_safe
@permission_required(RIGHT, raise_exception=True)
def trial(request: HttpRequest, entity: int, generation: int) -> HttpResponse:
    """What became of it so far; the page asks again until it is over."""
    context = _context(request, entity) | {"generation": generation}
    try:
        context["trial"] = outcome(entity, generation)
    except BotError as error:
        if error.code == "no-trial":
            raise Http404(str(error)) from error
        context["error"] = str(error)
    part = request.headers.get("HX-Request") == "true"
    return render(request, "conversations/trial.html" if part else "conversations/try.html", context)


def _context(request: HttpRequest, entity: int) -> dict[str, Any]:
    persona = read.one(entity)
    if persona is None:
        raise Http404("There is no such entity.")
    return {**admin.site.each_context(request), "title": f"Try {persona.slug}", "persona": persona}


urlpatterns = [
    path("<int:entity>/", admin.site.admin_view(ask), name="entity-try"),
    path("<int:entity>/<int:generation>/", admin.site.admin_view(trial), name="entity-trial"),
]
