"""The limits in `/api/v1/`: how often entities may post, what that leaves them, and the count begun anew."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from entities import limits, restrict
from entities.api.forms import LimitForm, ResetForm
from entities.api.serializers import ForgivenSerializer, LimitSerializer
from entities.models import RateLimit
from swwbot_site.lib import clock
from swwbot_site.lib.apikit import Rows
from swwbot_site.lib.lists import Filter, Flag
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, who


class LimitFilter(Filter):
    """Limits by whose they are, and where."""

    entity = filters.CharFilter(field_name="entity__slug", label="An entity's id.")
    feed = filters.CharFilter(field_name="feed__name", label="A feed's name.")
    shared = Flag(field_name="entity", method="by_owner", label="Whether it is of all entities together.")

    class Meta:
        model = RateLimit
        fields = ("kind",)

    def by_owner(self, rows: QuerySet[RateLimit], name: str, value: bool) -> QuerySet[RateLimit]:
        """Those of all together, or those of one."""
        return rows.filter(**{f"{name}__isnull": value})


class LimitView(Rows[RateLimit]):
    """How often entities may post, and what that leaves them now."""

    queryset = RateLimit.objects.all()
    serializer_class = LimitSerializer
    filterset_class = LimitFilter
    forms = {"create": LimitForm, "partial_update": LimitForm, "reset": ResetForm}
    shapes = {"reset": ForgivenSerializer, "anew": ForgivenSerializer}
    scopes = dict.fromkeys(("reset", "anew"), (Scope.OPERATE,))
    needs = dict.fromkeys(scopes, "entities.operate_entity")

    def paginate_queryset(self, queryset: Any) -> list[Any] | None:
        """A page, each limit with what it leaves now."""
        page = super().paginate_queryset(queryset)
        return None if page is None else _standing(page)

    def get_object(self) -> RateLimit:
        """One, with what it leaves now. Raises Http404."""
        return _one(super().get_object())

    def shown(self, pk: Any, code: int = 200) -> Response:
        """One, with what it leaves now. Raises Http404."""
        row = _one(get_object_or_404(self.get_queryset(), pk=pk))
        return Response(self.get_serializer(row).data, status=code)

    def create(self, request: Request) -> Response:
        """Add a limit."""
        return self.shown(restrict.add(self.said(), who(request)), 201)

    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change what is given."""
        pk = self.pk()
        restrict.change(pk, self.said(), who(request))
        return self.shown(pk)

    def destroy(self, request: Request, **_: Any) -> Response:
        """Take it away."""
        first(restrict.remove(self.pk(), who(request)))
        return Response(status=204)

    @extend_schema(operation_id="limits_reset_several")
    @action(detail=False, methods=["post"])
    def reset(self, request: Request) -> Response:
        """Begin the count anew: the posts that these limits still see are forgiven."""
        said = self.said()
        entity, feed = said.get("entity"), said.get("feed")
        n = limits.reset(entity.pk if entity else None, said.get("kind"), who(request), feed=feed.pk if feed else None)
        return Response({"forgiven": n})

    @action(detail=True, methods=["post"], url_path="reset")
    def anew(self, request: Request, **_: Any) -> Response:
        """Begin the count of this limit anew."""
        row = get_object_or_404(RateLimit, pk=self.pk())
        return Response({"forgiven": limits.reset(row.entity_id, row.kind, who(request), feed=row.feed_id)})


def _standing(rows: Sequence[Any]) -> list[Any]:
    """The rows with what each leaves now; without those that were taken away meanwhile."""
    states = limits.standing([row.pk for row in rows], clock.now())
    for row in rows:
        row.standing = states.get(row.pk)
    return [row for row in rows if row.standing is not None]


def _one(row: RateLimit) -> RateLimit:
    found = _standing([row])
    if not found:
        raise Http404
    return row
