"""The whole configuration in `/api/v1/`: written out, and read in."""

from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from swwbot_site import rights
from swwbot_site.config import export
from swwbot_site.config.apply import Diff, apply, told
from swwbot_site.config.problems import DocumentError
from swwbot_site.lib.apikit import One
from swwbot_site.lib.payload import Raw

USUAL: Final = "api"
"""What an import without a name is called."""


READING: Final = (
    "entities.view_entity entities.view_ratelimit cluster.view_server cluster.view_clusterpolicy conversations.view_feed"
    " swwbot_site.view_retention"
)
WRITING: Final = " ".join(rights.IMPORTING)
"""A file holds all of these, so whoever reads or writes one needs the right to each."""


class ChangeSerializer(serializers.Serializer[Any]):
    """One row; `fields` has of each column what it was and what it became, secrets hidden."""

    kind = serializers.CharField()
    name = serializers.CharField()
    action = serializers.CharField()
    fields = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))  # type: ignore[assignment]  # a value of that name


class ImportSerializer(serializers.Serializer[Any]):
    """What an import changed, or would change."""

    source = serializers.CharField()  # type: ignore[assignment]  # a value of that name
    version = serializers.CharField()
    dry_run = serializers.BooleanField()
    changes = ChangeSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())


DOCUMENT = {"type": "object", "additionalProperties": True, "description": "A configuration file; see docs/configuration.md."}
DRY = OpenApiParameter("dry_run", OpenApiTypes.BOOL, description="Only say what would change.")
SOURCE = OpenApiParameter(
    "source",
    OpenApiTypes.STR,
    description="Import in the place of the file of this name: what it said before and says no longer is taken back.",
)


@extend_schema_view(
    list=extend_schema(operation_id="configuration_retrieve", responses={200: DOCUMENT}),
    create=extend_schema(
        operation_id="configuration_import",
        request={"application/json": DOCUMENT},
        responses={200: ImportSerializer},
        parameters=[DRY, SOURCE],
    ),
)
class ConfigurationView(One):
    """Servers, settings, feeds and entities as one configuration file, without secrets."""

    serializer_class = serializers.Serializer
    parser_classes = [Raw]
    needs = {"list": READING, "create": WRITING}

    def list(self, request: Request) -> Response:
        # Without a docstring: the OpenAPI document takes the view's.
        return Response(export.document())

    def create(self, request: Request) -> Response:
        """Import a configuration: all of it, or nothing if it has an error. Rows that it named before and names no longer are disabled."""
        dry, source = _flag(request, "dry_run"), request.query_params.get("source", USUAL).strip()
        if not 0 < len(source) <= 200 or "\0" in source:
            raise ValidationError({"source": "a name of 1 to 200 characters"})
        content: Any = request.data
        if not isinstance(content, bytes):
            raise ValidationError("There is no configuration in the body.")
        try:
            diff = apply(content, source, dry=dry)
        except DocumentError as exc:
            raise ValidationError(_problems(exc)) from exc
        return Response(ImportSerializer(_told(diff, dry)).data)


def _problems(exc: DocumentError) -> Mapping[str, list[str]]:
    """What is wrong, by the place in the document."""
    found: dict[str, list[str]] = {}
    for one in exc.problems:
        found.setdefault(one.path, []).append(one.text)
    return found


def _flag(request: Request, name: str) -> bool:
    said = request.query_params.get(name, "false")
    if said not in ("true", "false"):
        raise ValidationError({name: "true or false"})
    return said == "true"


def _told(diff: Diff, dry: bool) -> dict[str, Any]:
    changes = [{"kind": one.kind, "name": one.name, "action": one.action, "fields": told(one)} for one in diff.changes]
    warnings = [str(problem) for problem in diff.warnings]
    return {"source": diff.source, "version": diff.version, "dry_run": dry, "changes": changes, "warnings": warnings}
