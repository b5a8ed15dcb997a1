"""What every view of the REST API has in common.

Lists in pages, single rows, and deeds: each is a POST, PATCH or DELETE that calls one verb and shows the row as it is then. A view names
its rows, its two serializers (short in lists, whole alone), its filters, and the form of each deed; of the database it reads exactly the
columns that the serializer shows.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.generics import get_object_or_404
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.relations import SlugRelatedField
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter, Route
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from swwbot_site.lib import repeats
from swwbot_site.lib.apischema import Schema
from swwbot_site.lib.lists import Filters, Ordering, Pages
from swwbot_site.lib.problems import Refusing
from swwbot_site.lib.repeats import Key
from swwbot_site.lib.rights import Guarded, Rights, Throttle

M = TypeVar("M", bound=Model)


class Base(Guarded, Refusing, GenericViewSet[M]):
    """Who may, what is done once, what is asked for and what is shown."""

    schema = Schema()
    permission_classes = [Rights]
    throttle_classes = [Throttle]
    forms: ClassVar[Mapping[str, type[BaseSerializer[Any]]]] = {}
    """Action → what its request may say."""
    shapes: ClassVar[Mapping[str, type[BaseSerializer[Any]]]] = {}
    """Action → what it shows, where that is not the row."""
    secretive: ClassVar[frozenset[str]] = frozenset()
    """Actions whose answer holds a secret: it is not kept under a key."""
    _key: Key | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A request with a key is one transaction with the record of its answer."""
        if not repeats.carried(request):
            return super().dispatch(request, *args, **kwargs)
        with transaction.atomic():
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Whether it may be answered, and was not."""
        super().initial(request, *args, **kwargs)
        if repeats.carried(request):
            self._key = repeats.key(request)
            repeats.begin(self._key)

    def handle_exception(self, exc: Exception) -> Response:
        """The refusal; what was refused is not kept under its key."""
        self._key = None
        return super().handle_exception(exc)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Keep what was answered under its key; on the way nobody keeps it."""
        done = super().finalize_response(request, response, *args, **kwargs)
        done.headers.setdefault("Cache-Control", "no-store")
        if self._key is not None:
            repeats.keep(self._key, done, secret=self.action in self.secretive)
        return done

    def said(self, **context: Any) -> dict[str, Any]:
        """The values of the request's form. Raises ValidationError."""
        partial = self.request.method == "PATCH"
        form = self.forms[self.action](data=self.request.data, partial=partial, context={**self.get_serializer_context(), **context})
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)


class Rows(RetrieveModelMixin, ListModelMixin, Base[M]):
    """Rows of one kind. `ordering` is the default order, `ordering_fields` the columns one may ask for, all of them unique."""

    pagination_class = Pages
    filter_backends = [Filters, Ordering]
    http_method_names = ["get", "head", "post", "patch", "delete"]
    whole_class: ClassVar[type[BaseSerializer[Any]] | None] = None
    """The serializer of a row shown alone, if it shows more than in a list."""
    ordering: ClassVar[str] = "-id"
    ordering_fields: ClassVar[tuple[str, ...]] = ("id",)

    def get_serializer_class(self) -> type[BaseSerializer[M]]:
        """The serializer of this action."""
        return self.whole_class if self.action != "list" and self.whole_class else super().get_serializer_class()

    def get_queryset(self) -> QuerySet[M]:
        """The rows in their order, with the columns that the serializer shows and no others."""
        rows = super().get_queryset().order_by(self.ordering)
        shown, joined = _columns(self.get_serializer_class()(), rows.model)
        return rows.select_related(*joined).only(*shown)

    def filter_queryset(self, queryset: Any) -> Any:
        """Only lists are filtered and ordered."""
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def pk(self) -> Any:
        """The primary key of the row that the address names. Raises Http404."""
        name = self.lookup_field
        rows = super().get_queryset().values_list("pk", flat=True)
        return get_object_or_404(rows, **{name: self.kwargs[self.lookup_url_kwarg or name]})

    def shown(self, pk: Any, code: int = status.HTTP_200_OK) -> Response:
        """A row as it is now. Raises Http404."""
        return Response(self.get_serializer(get_object_or_404(self.get_queryset(), pk=pk)).data, status=code)


def _columns(serializer: Any, model: type[Model]) -> tuple[list[str], list[str]]:
    """The columns that a serializer reads, and the rows beside its own that it takes a name from."""
    known = {field.name for field in model._meta.concrete_fields}
    fields = [field for field in serializer.fields.values() if field.source in known]
    joined = {str(field.source): str(field.slug_field) for field in fields if isinstance(field, SlugRelatedField)}
    return [f"{field.source}__{joined[field.source]}" if field.source in joined else str(field.source) for field in fields], list(joined)


class One(Base[Any]):
    """One thing that is always there and has no number; a view says in `get_object` which."""

    pagination_class = None
    filter_backends = []
    http_method_names = ["get", "head", "post", "patch"]

    def list(self, request: Request) -> Response:
        # Without a docstring: the OpenAPI document takes the view's.
        return self.shown()

    def shown(self) -> Response:
        """It, as it is now."""
        return Response(self.get_serializer(self.get_object()).data)


class Router(DefaultRouter):
    """The addresses; a thing without a number is changed where it is shown."""

    include_format_suffixes = False
    routes = [
        Route(
            url=r"^{prefix}{trailing_slash}$",
            mapping={"get": "list", "post": "create", "patch": "change"},
            name="{basename}-list",
            detail=False,
            initkwargs={"suffix": "List"},
        ),
        *DefaultRouter.routes[1:],
    ]
