"""What happened, in `/api/v1/`: in pages, or told as it happens."""

from typing import Final

from django.db.models import Max, QuerySet
from django.http import StreamingHttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from swwbot_site.lib import streams
from swwbot_site.lib.apikit import Rows
from swwbot_site.lib.apistream import RENDERERS, streamed
from swwbot_site.lib.events import Level
from swwbot_site.lib.lists import Filter, Filters
from swwbot_site.models import Event

BATCH: Final = 200
"""Events that are told at once."""

LAG: Final = 100
"""Numbers are given before rows appear: an event may appear behind one with a number higher by so many."""

LAST: Final = "Last-Event-ID"


class EventSerializer(serializers.ModelSerializer[Event]):
    """One line about something that happened, with its details."""

    detail = serializers.DictField(read_only=True)

    class Meta:
        model = Event
        fields = ("id", "at", "kind", "level", "subject", "text", "detail")
        read_only_fields = fields


class EventFilter(Filter):
    """Events by kind, level, subject and time."""

    level = filters.ChoiceFilter(choices=[(one.value, one.value) for one in Level])
    after = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte", label="Not earlier than, ISO 8601.")
    before = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt", label="Earlier than, ISO 8601.")

    class Meta:
        model = Event
        fields = ("kind", "subject")


PARAMETERS: Final = [
    *(OpenApiParameter(name, OpenApiTypes.STR, description=f"Only events of this {name}.") for name in ("kind", "level", "subject")),
    OpenApiParameter(LAST, OpenApiTypes.INT64, OpenApiParameter.HEADER, description="What came after this event is told first."),
]


class EventView(Rows[Event]):
    """What happened, the newest first."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    filterset_class = EventFilter

    @extend_schema(
        operation_id="events_stream",
        parameters=PARAMETERS,
        responses={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, "Events `event`; their ids are those of the rows.")},
    )
    @action(detail=False, renderer_classes=RENDERERS, filter_backends=[], pagination_class=None)
    def stream(self, request: Request) -> StreamingHttpResponse:
        """Server-sent events: what happens from now on, or after `Last-Event-ID`. It ends after ten minutes: come again with that."""
        rows = Filters().filter_queryset(request, Event.objects.all(), self)
        return streamed(request, Ear(rows, _last(request)))


class Ear:
    """Hears of `rows` what comes after event `last`; None: from now on."""

    def __init__(self, rows: QuerySet[Event], last: int | None) -> None:
        self._rows = rows
        self._last = Event.objects.aggregate(newest=Max("pk"))["newest"] or 0 if last is None else last
        before = rows.filter(pk__gt=self._last - LAG, pk__lte=self._last)
        self._told = set(before.order_by().values_list("pk", flat=True))

    def __call__(self) -> tuple[bytes, bool]:
        """What is new, as server-sent events."""
        rows = self._rows.filter(pk__gt=self._last - LAG).exclude(pk__in=self._told).order_by("pk")
        found = list(rows[:BATCH])
        self._told.update(row.pk for row in found)
        self._last = max([self._last, *self._told])
        self._told = {pk for pk in self._told if pk > self._last - LAG}
        return b"".join(
            streams.event("event", JSONRenderer().render(EventSerializer(row).data).decode(), key=row.pk) for row in found
        ), False


def _last(request: Request) -> int | None:
    """The event that a client has seen last. Raises ValidationError."""
    said = request.headers.get(LAST, "").strip()
    if not said:
        return None
    if not (said.isascii() and said.isdigit() and len(said) < 19):
        raise ValidationError({LAST: "the number of an event"})
    return int(said)
