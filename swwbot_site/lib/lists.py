"""Lists of the REST API: filters that refuse what they do not know, one total order, pages that stay right while rows come and go."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.core.exceptions import ValidationError as Unfit
from django.db.models import BooleanField, Model, QuerySet
from django_filters import rest_framework as filters
from django_filters.filterset import FILTER_FOR_DBFIELD_DEFAULTS
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

M = TypeVar("M", bound=Model)

LONGEST: Final = 200
"""Rows of the longest page."""

COMMON: Final = frozenset({"cursor", "limit", "ordering", "format"})
"""Query parameters that every list understands."""


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
