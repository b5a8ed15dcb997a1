"""The addresses."""

from django.conf import settings
from django.contrib import admin
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from swwbot_site import exporting
from swwbot_site.monitoring import dashboard, health, metrics, status, why

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="status"), name="home"),
    path("favicon.ico", RedirectView.as_view(url=static("swwbot/icon.svg"))),
    path("status/", status.page, name="status"),
    path("status/live/", status.live, name="status-live"),
    path("status/stream/", status.stream, name="status-stream"),
    path("status/answer/<int:pk>/", status.answer, name="status-answer"),
    path("status/posting/", status.posting, name="status-posting"),
    path("why/reply/<int:pk>", why.reply, name="why-reply"),
    path("why/message/<int:pk>", why.message, name="why-message"),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    *([] if settings.LEAN else [path("admin/conversations/preview/", include("conversations.admin.preview"))]),
    *([] if settings.LEAN else [path("admin/entities/try/", include("conversations.admin.trial"))]),
    path("admin/entities/export/<int:pk>/", admin.site.admin_view(exporting.entity), name="entity-export"),
    path("admin/board/", admin.site.admin_view(dashboard.live), name="dashboard-live"),
    path("admin/", admin.site.urls),
    *([] if settings.LEAN else [path("api/", include("swwbot_site.api"))]),
]
handler400 = "swwbot_site.refusals.unfit"
handler404 = "swwbot_site.refusals.missing"
handler500 = "swwbot_site.refusals.broken"
