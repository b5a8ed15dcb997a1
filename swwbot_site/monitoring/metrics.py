"""`/metrics` for Prometheus: who may read it, and what it says. Figures are read from rows when they are asked for."""

import hmac
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from swwbot_site.lib import networks
from swwbot_site.monitoring.rows import Rows

registry = CollectorRegistry(auto_describe=False)
registry.register(Rows())


PASSED_ON: Final = ("Forwarded", "Via", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server")
"""Headers that only a proxy sends."""


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """`/metrics`; absent when ENABLE_METRICS is off, 403 for whoever may not read it."""
    if not settings.ENABLE_METRICS:
        raise Http404
    if not welcome(request):
        text = "Send METRICS_TOKEN as a bearer token, come from one of METRICS_NETWORKS, or log in as staff.\n"
        return HttpResponse(text, status=403, content_type="text/plain")
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def welcome(request: HttpRequest) -> bool:
    """Whether this visitor may read the figures: by the token, by where the request comes from and through whom, or by a login.

    Every address that the request is said to have passed must be in METRICS_NETWORKS: behind a proxy on this machine all come from it. One
    that a proxy has passed on without saying for whom has come from anywhere.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return hmac.compare_digest(secret.strip().encode(), settings.METRICS_TOKEN.encode())
    forwarded = request.headers.get("X-Forwarded-For", "")
    way = [request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Real-Ip", ""), *forwarded.split(",")]
    way = [way[0], *(one for one in way[1:] if one)]
    if not forwarded and any(name in request.headers for name in PASSED_ON):
        way.append("")
    if all(networks.within(one, settings.METRICS_NETWORKS) for one in way):
        return True
    return request.user.is_active and request.user.is_staff
