"""The action that lets the count of limits begin anew, for pages of limits and of entities."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from entities import limits
from entities.models import RateLimit


class Anew:
    """Name `anew` among the actions. It asks first: what is forgiven cannot be counted again."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether this person may switch and try entities, and forgive posts, be it without changing what they are."""
        return bool(request.user.has_perm("entities.operate_entity"))

    @admin.action(description="Begin limits anew", permissions=["operate"])
    def anew(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Forgive the posts that the chosen limits, or those of the chosen entities, still see."""
        if "sure" not in request.POST:
            return self._ask(request, queryset)
        who = request.user.get_username()
        n = 0
        for row in queryset:
            if isinstance(row, RateLimit):
                n += limits.reset(row.entity_id, row.kind, who, feed=row.feed_id)
            else:
                n += limits.reset(row.pk, None, who)
        messages.success(request, f"{n} posts are forgiven.")
        return None

    def _ask(self: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        rows = list(queryset)
        context = {
            **self.admin_site.each_context(request),
            "title": "Begin limits anew",
            "question": "Forgive every post that these limits still count? No limit will count them any more.",
            "lines": [str(row) if isinstance(row, RateLimit) else f"all limits of {row}" for row in rows],
            "ids": [row.pk for row in rows],
            "action": "anew",
            "button": "Yes, begin anew",
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/sure.html", context)
