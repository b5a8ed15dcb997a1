"""The status page's doors: the page, its parts for whoever asks, its stream for whoever watches, one answer whole, and the stop."""

from typing import Any, Final

from django.contrib.auth import get_user
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.base import SessionBase
from django.core.handlers.asgi import ASGIRequest
from django.db import Error, connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from cluster import read as cluster
from conversations import read as conversations
from conversations.stop import resume, stop
from swwbot_site.lib import clock
from swwbot_site.monitoring import board
from swwbot_site.monitoring.draw import drawn, message, whole
from swwbot_site.monitoring.stream import LOST, follow

MAY_STOP: Final = "conversations.stop_posting"
MAY_READ: Final = "conversations.view_reply"


def badge(request: HttpRequest) -> list[str] | None:
    """What every page of the admin says in its head: that nothing is posted, if it is so."""
    return ["posting is stopped", "danger"] if staff(request) and conversations.stopped() else None


def on_hold(request: HttpRequest) -> str:
    """How many answers wait for a person, for the sidebar; nothing if none does."""
    return str(conversations.open_replies().get("held", "") if staff(request) else "")


@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`/status/`, for staff; others are sent to the login. `?screen=big` is for the wall."""
    if not staff(request):
        return redirect_to_login(request.path, reverse("admin:login"))
    now = clock.now()
    context = {
        "now": clock.millis(now),
        "regions": {name: list(items.values()) for name, items in drawn(board.read(now)).items()},
        "may_stop": request.user.has_perm(MAY_STOP),
        "screen": "big" if request.GET.get("screen") == "big" else "",
    }
    return render(request, "status/page.html", context)


@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """`/status/live/`: everything inside the page, for one that asks. 401 with the login's address for strangers, 503 without a database."""
    try:
        if not staff(request):
            return JsonResponse({"login": login()}, status=401)
        now = clock.now()
        return JsonResponse(whole(board.read(now), now))
    except Error:
        return JsonResponse(message({}, clock.now(), LOST), status=503)


@never_cache
@require_safe
def stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """`/status/stream/`: what is new, as it comes. 204, which makes a browser ask instead, where there is no login or no ASGI server."""
    if not isinstance(request, ASGIRequest) or not staff(request):
        return HttpResponse(status=204)
    connection.close()  # otherwise it would stay open, unused, as long as somebody watches
    told = StreamingHttpResponse(follow(_Still(request.session)), content_type="text/event-stream")
    told.headers["X-Accel-Buffering"] = "no"
    return told


@never_cache
@require_safe
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """`/status/answer/ID/`: the request behind an answer, whole, as a piece of the page."""
    if not staff(request) or not request.user.has_perm(MAY_READ):
        return HttpResponseForbidden("You may not read answers.")
    found = conversations.generation_of(pk)
    if found is None:
        raise Http404
    reply, generation = found
    asked = cluster.asked(generation) if generation else None
    story = cluster.stories([generation]).get(generation) if generation else None
    return render(request, "status/request.html", {"reply": reply, "asked": asked, "story": story})


@never_cache
@require_POST
def posting(request: HttpRequest) -> HttpResponse:
    """`/status/posting/`: stop all posting or resume it, once somebody has said that he is sure."""
    if not staff(request) or not request.user.has_perm(MAY_STOP):
        return HttpResponseForbidden("You may not stop or resume posting.")
    verb, why = request.POST.get("verb", ""), request.POST.get("why", "")[:500]
    if verb not in ("stop", "resume"):
        raise Http404
    if "sure" not in request.POST:
        return render(request, "status/sure.html", {"verb": verb, "why": why})
    who = request.user.get_username()
    _ = stop(who, why) if verb == "stop" else resume(who)  # whoever was first has done the same
    return HttpResponseRedirect(reverse("status"))


def login() -> str:
    """Where one logs in, to come back to the page."""
    return f"{reverse('admin:login')}?next={reverse('status')}"


def staff(request: HttpRequest) -> bool:
    """Whether the page is for whoever asks."""
    return request.user.is_active and request.user.is_staff


class _Still:
    """Whether the login of a session is still one of staff."""

    def __init__(self, session: SessionBase) -> None:
        self._kind, self._key = type(session), session.session_key

    def __call__(self) -> bool:
        asked: Any = HttpRequest()
        asked.session = self._kind(self._key)
        user = get_user(asked)
        return user.is_active and bool(getattr(user, "is_staff", False))
