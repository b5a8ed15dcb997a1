"""The addresses."""

from django.conf import settings
from django.contrib import admin
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from swwbot_site.monitoring import health, metrics, status

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="status"), name="home"),
    path("favicon.ico", RedirectView.as_view(url=static("swwbot/icon.svg"))),
    path("status/", status.page, name="status"),
    path("status/live/", status.live, name="status-live"),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    *([] if settings.LEAN else [path("admin/conversations/preview/", include("conversations.admin.preview"))]),
    path("admin/", admin.site.urls),
    *([] if settings.LEAN else [path("api/", include("swwbot_site.api"))]),
]
handler404 = "swwbot_site.refusals.missing"
handler500 = "swwbot_site.refusals.broken"
