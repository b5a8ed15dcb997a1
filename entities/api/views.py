"""The personas' part of `/api/v1/`."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from entities import read
from entities.api.serializers import EntitySerializer, QuotaSerializer, WholeEntitySerializer
from entities.models import Entity
from swwbot_site.lib import clock
from swwbot_site.lib.apikit import Filter, Rows


class EntityFilter(Filter):
    """Personas by what they are."""

    class Meta:
        model = Entity
        fields = ("enabled", "username", "model", "hold")


class EntityView(Rows[Entity]):
    """The personas, by their ids; one alone also shows its prompts and its sampling."""

    queryset = Entity.objects.all()
    serializer_class = EntitySerializer
    whole_class = WholeEntitySerializer
    filterset_class = EntityFilter
    lookup_field = "slug"
    lookup_value_regex = r"[^/\x00]+"
    ordering = "slug"
    ordering_fields = ("slug", "id")

    @extend_schema(responses=QuotaSerializer(many=False), filters=False)
    @action(detail=True, filter_backends=[], pagination_class=None)
    def limits(self, request: Request, **_: Any) -> Response:
        """What its limits leave an entity now, its own and those of all together."""
        return Response(QuotaSerializer(read.limits(self.get_object().pk, clock.now())).data)
