"""What every view of the REST API has in common.

Reading only: lists in pages, single rows, and one body for every refusal, `{"code": …, "detail": …}`. A view names its rows, its two
serializers (short in lists, whole alone) and its filters; of the database it reads exactly the columns that the serializer shows.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final, TypeVar

from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.core.exceptions import ValidationError as Unfit
from django.db.models import BooleanField, Model, QuerySet
from django_filters import rest_framework as filters
from django_filters.filterset import FILTER_FOR_DBFIELD_DEFAULTS
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAdminUser
from rest_framework.relations import SlugRelatedField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView, exception_handler
from rest_framework.viewsets import GenericViewSet, ReadOnlyModelViewSet

M = TypeVar("M", bound=Model)

LONGEST: Final = 200
"""Rows of the longest page."""

COMMON: Final = frozenset({"cursor", "limit", "ordering", "format"})
"""Query parameters that every list understands."""


def problem(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """The one body of every refusal; None for an error of the program, which Django reports."""
    response = exception_handler(exc, dict(context))
    if response is None:
        return None
    codes = exc.get_codes() if isinstance(exc, APIException) else {403: "permission_denied", 404: "not_found"}[response.status_code]
    said = response.data
    if isinstance(said, dict) and set(said) == {"detail"}:
        said = said["detail"]
    response.data = {"code": codes if isinstance(codes, str) else "invalid", "detail": _sentence(said)}
    return response


def _sentence(said: Any) -> str:
    if isinstance(said, Mapping):
        return "; ".join(f"{name}: {_sentence(part)}" for name, part in said.items())
    return " ".join(_sentence(part) for part in said) if isinstance(said, list) else str(said)


def describe_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A step of the OpenAPI document's making: every operation may answer with a problem."""
    text = {"type": "string"}
    result["components"].setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "description": "Why there is no answer: a stable code for programs, a sentence for people.",
        "required": ["code", "detail"],
        "properties": {"code": text, "detail": text},
    }
    answer = {"description": "A refusal.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = answer
    return result


@extend_schema_field(OpenApiTypes.BOOL)
class Flag(filters.TypedChoiceFilter):  # type: ignore[misc]  # django-filter ships no types
    """`true` or `false`, nothing else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"choices": [("true", "true"), ("false", "false")], "coerce": lambda value: value == "true"}
        super().__init__(*args, **kwargs)


class Number(filters.NumberFilter):  # type: ignore[misc]  # django-filter ships no types
    """A whole number."""

    field_class = forms.IntegerField


class Filter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    """The filters of one kind of rows."""

    FILTER_DEFAULTS = {**FILTER_FOR_DBFIELD_DEFAULTS, BooleanField: {"filter_class": Flag}}


class Filters(filters.DjangoFilterBackend):  # type: ignore[misc]  # django-filter ships no types
    """Refuses what it does not know: a misspelt filter must not look like one that everything passes."""

    def filter_queryset(self, request: Request, queryset: QuerySet[M], view: APIView) -> QuerySet[M]:
        """The rows that pass. Raises ValidationError."""
        known = {*self.get_filterset_class(view, queryset).base_filters, *COMMON}
        strange = sorted(set(request.query_params) - known)
        if strange:
            raise ValidationError({name: f"no such parameter; there are {', '.join(sorted(known))}" for name in strange})
        found: QuerySet[M] = super().filter_queryset(request, queryset, view)
        return found


class Ordering(OrderingFilter):
    """One column, `-` before it for descending; a view lists those it can be ordered by."""

    ordering_description = "Column to order by, - before it for descending."

    def remove_invalid_fields(self, queryset: QuerySet[Any], fields: Iterable[str], view: APIView, request: Request) -> list[str]:
        """The columns asked for. Raises ValidationError for one that is not offered."""
        asked = list(fields)
        offered = [name for name, _ in self.get_valid_fields(queryset, view, {"request": request})]
        if len(asked) != 1 or asked[0].removeprefix("-") not in offered:
            raise ValidationError({self.ordering_param: f"one of {', '.join(offered)}, with - before it for descending"})
        return asked

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """What the OpenAPI document says of it."""
        offered = [sign + name for name in view.ordering_fields for sign in ("", "-")]
        described = {"name": self.ordering_param, "in": "query", "required": False, "description": self.ordering_description}
        return [{**described, "schema": {"type": "string", "enum": offered}}]


class Pages(CursorPagination):
    """Pages of 50 that stay right while rows come and go, however deep: `next` and `previous` are addresses, nothing is counted."""

    page_size = 50
    page_size_query_param = "limit"
    page_size_query_description = f"Rows on a page, 1 … {LONGEST}."
    max_page_size = LONGEST
    ordering = None  # type: ignore[assignment]  # there is no order that fits every view

    def get_page_size(self, request: Request) -> int:
        """Rows on a page. Raises ValidationError."""
        said = request.query_params.get("limit", str(self.page_size))
        if not (said.isascii() and said.isdigit() and len(said) < 6 and 1 <= int(said) <= LONGEST):
            raise ValidationError({"limit": f"a number from 1 to {LONGEST}"})
        return int(said)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """The one column of the order. Raises ImproperlyConfigured if there is none, or if rows could share its values."""
        order = [str(name) for name in queryset.query.order_by]
        self.column: Any = queryset.model._meta.get_field(order[0].removeprefix("-")) if len(order) == 1 else None
        if self.column is None or not self.column.unique:
            raise ImproperlyConfigured(f"{type(view).__name__} has rows without a total order: pages of them would overlap")
        return tuple(order)

    def decode_cursor(self, request: Request) -> Any:
        """Where the page begins, at a value that its column can have. Raises NotFound."""
        cursor: Any = super().decode_cursor(request)
        try:
            value = self.column.to_python(cursor.position) if cursor and cursor.position else None
        except Unfit as exc:
            raise NotFound(self.invalid_cursor_message) from exc
        if isinstance(value, str) and "\0" in value:
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What the OpenAPI document says of a page."""
        address = {"type": ["string", "null"], "format": "uri"}
        pages = {"next": address, "previous": address, "results": schema}
        return {"type": "object", "required": list(pages), "properties": pages}


class Rows(ReadOnlyModelViewSet[M]):
    """Rows of one kind. `ordering` is the default order, `ordering_fields` the columns one may ask for, all of them unique."""

    permission_classes = [IsAdminUser]
    pagination_class = Pages
    filter_backends = [Filters, Ordering]
    http_method_names = ["get", "head"]
    whole_class: ClassVar[type[BaseSerializer[Any]] | None] = None
    """The serializer of a row shown alone, if it shows more than in a list."""
    ordering: ClassVar[str] = "-id"
    ordering_fields: ClassVar[tuple[str, ...]] = ("id",)

    def get_serializer_class(self) -> type[BaseSerializer[M]]:
        """The serializer of this action."""
        return self.whole_class if self.action == "retrieve" and self.whole_class else super().get_serializer_class()

    def get_queryset(self) -> QuerySet[M]:
        """The rows in their order, with the columns that the serializer shows and no others."""
        rows = super().get_queryset().order_by(self.ordering)
        shown, joined = _columns(self.get_serializer_class()(), rows.model)
        return rows.select_related(*joined).only(*shown)


def _columns(serializer: Any, model: type[Model]) -> tuple[list[str], list[str]]:
    """The columns that a serializer reads, and the rows beside its own that it takes a name from."""
    known = {field.name for field in model._meta.concrete_fields}
    fields = [field for field in serializer.fields.values() if field.source in known]
    joined = {str(field.source): str(field.slug_field) for field in fields if isinstance(field, SlugRelatedField)}
    return [f"{field.source}__{joined[field.source]}" if field.source in joined else str(field.source) for field in fields], list(joined)


class One(GenericViewSet[Any]):
    """One thing that is always there and has no number; a view says in `get_object` which."""

    permission_classes = [IsAdminUser]
    pagination_class = None
    filter_backends = []
    http_method_names = ["get", "head"]

    def list(self, request: Request) -> Response:
        # Without a docstring: the OpenAPI document takes the view's.
        return Response(self.get_serializer(self.get_object()).data)
