"""The personas' part of `/api/v1/`."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from entities import change, read, switch, versions
from entities.api.forms import CloneForm, EntityForm, NewEntityForm, RollbackForm
from entities.api.serializers import DifferenceSerializer, EntitySerializer, QuotaSerializer, VersionSerializer, WholeEntitySerializer
from entities.clone import clone
from entities.errors import NoVersion, Taken
from entities.models import Entity
from swwbot_site.lib import clock
from swwbot_site.lib.apikit import Rows
from swwbot_site.lib.forms import Why
from swwbot_site.lib.lists import Filter
from swwbot_site.lib.problems import first
from swwbot_site.lib.rights import Scope, who

NUMBER = OpenApiParameter("to", OpenApiTypes.INT, description="The later version; without it, the entity as it is now.")


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
    forms = {"create": NewEntityForm, "partial_update": EntityForm, "disable": Why, "clone": CloneForm, "rollback": RollbackForm}
    scopes = dict.fromkeys(("enable", "disable"), (Scope.OPERATE,))
    needs = {"clone": "entities.add_entity"} | dict.fromkeys(scopes, "entities.operate_entity")
    refusals = {NoVersion: 404, Taken: 409}

    def create(self, request: Request) -> Response:
        """Make a persona. 409 if its id belongs to another one."""
        return self.shown(change.make(self.said(), who(request)), 201)

    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change what is given; running engines obey at once, and a version is kept."""
        pk = self.pk()
        change.change(pk, self.said(), who(request))
        return self.shown(pk)

    def destroy(self, request: Request, **_: Any) -> Response:
        """Remove it with its answers and limits. To silence it, disable it."""
        first(change.remove(self.pk(), who(request)))
        return Response(status=204)

    @action(detail=True, methods=["post"])
    def enable(self, request: Request, **_: Any) -> Response:
        """Switch it on; its failures are forgiven. 409 if it is on."""
        pk = self.pk()
        first(switch.enable([pk], who(request)))
        return self.shown(pk)

    @action(detail=True, methods=["post"])
    def disable(self, request: Request, **_: Any) -> Response:
        """Switch it off; what is queued is still answered. 409 if it is off."""
        pk = self.pk()
        first(switch.disable([pk], self.said()["why"] or f"switched off by {who(request)}", who(request)))
        return self.shown(pk)

    @extend_schema(responses={201: WholeEntitySerializer})
    @action(detail=True, methods=["post"])
    def clone(self, request: Request, **_: Any) -> Response:
        """Make a copy with its limits, switched off. 409 if the id belongs to another one."""
        said = self.said()
        return self.shown(clone(self.pk(), said["id"], said["username"], who(request)), 201)

    @extend_schema(responses=QuotaSerializer(many=False))
    @action(detail=True)
    def limits(self, request: Request, **_: Any) -> Response:
        """What its limits leave an entity now, its own and those of all together."""
        return Response(QuotaSerializer(read.limits(self.pk(), clock.now())).data)

    @extend_schema(responses=VersionSerializer(many=True))
    @action(detail=True, filter_backends=[], pagination_class=None)
    def versions(self, request: Request, **_: Any) -> Response:
        """Its newest hundred versions, newest first."""
        return Response(VersionSerializer(versions.versions(self.pk()), many=True).data)

    @extend_schema(responses=DifferenceSerializer(many=True), parameters=[NUMBER])
    @action(detail=True, url_path=r"versions/(?P<version>[0-9]{1,9})/diff", filter_backends=[], pagination_class=None)
    def diff(self, request: Request, version: str, **_: Any) -> Response:
        """What changed from one version to another, or to what it is now."""
        later = request.query_params.get("to", "")
        if later and not (later.isascii() and later.isdigit() and len(later) < 10):
            raise ValidationError({"to": "the number of a version"})
        told = versions.diff(self.pk(), int(version), int(later) if later else None)
        rows = [{"field": name, "before": one.before, "after": one.after, "lines": one.lines} for name, one in told.items()]
        return Response(DifferenceSerializer(rows, many=True).data)

    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, **_: Any) -> Response:
        """Restore what a version holds, as a new version; that it is on or off stays. 409 if it is like that."""
        pk = self.pk()
        first(versions.rollback(pk, self.said()["version"], who(request)))
        return self.shown(pk)
