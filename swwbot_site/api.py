"""The REST API's addresses: `/api/v1/` with everything, `/api/schema/` its OpenAPI document, `/api/docs/` the same for people."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.admin.views.decorators import staff_member_required
from django.urls import include, path
from django_filters import rest_framework as filters
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.routers import DefaultRouter

from cluster import read as cluster
from cluster import warm
from cluster.api.overview import OverviewSerializer, WarmthSerializer
from cluster.api.views import GenerationView, ModelView, PlacementView, PolicyView, ServerView
from cluster.read import Overview
from cluster.warm import Warmth
from conversations import read as conversations
from conversations.api.serializers import PaceSerializer, SourceSerializer, WorkerSerializer
from conversations.api.views import EngineView, FeedView, MessageView, ReplyView
from conversations.read import Pace, Source, Worker
from entities.api.views import EntityView
from swwbot_site.lib import clock
from swwbot_site.lib.apikit import Filter, One, Rows
from swwbot_site.lib.events import Level
from swwbot_site.models import Event

LATELY: Final = timedelta(minutes=5)
"""How far back the status counts."""

DAY: Final = timedelta(days=1)
"""How far back it judges guesses about models."""


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


class EventView(Rows[Event]):
    """What happened, the newest first."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    filterset_class = EventFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything at one moment; `pace` counts the last five minutes, `warmth` the last day."""

    now: datetime
    cluster: Overview
    engines: tuple[Worker, ...]
    feeds: tuple[Source, ...]
    pace: Pace
    warmth: Warmth


@extend_schema_serializer(many=False)
class StatusSerializer(serializers.Serializer[Any]):
    """Everything at one moment; `pace` counts the last five minutes, `warmth` the last day."""

    now = serializers.DateTimeField()
    cluster = OverviewSerializer()
    engines = WorkerSerializer(many=True)
    feeds = SourceSerializer(many=True)
    pace = PaceSerializer()
    warmth = WarmthSerializer()


@extend_schema_view(list=extend_schema(operation_id="status_retrieve"))
class StatusView(One):
    """The status page for programs: servers with their memory, what waits, engines, feeds, and what was done lately."""

    serializer_class = StatusSerializer

    def get_object(self) -> Status:
        """Everything, read now."""
        now = clock.now()
        return Status(
            now=now,
            cluster=cluster.overview(),
            engines=conversations.engines(now),
            feeds=conversations.feeds(),
            pace=conversations.pace(now - LATELY),
            warmth=warm.report(now - DAY),
        )


router = DefaultRouter()
router.include_format_suffixes = False
router.register("status", StatusView, basename="status")
router.register("servers", ServerView)
router.register("models", ModelView)
router.register("placements", PlacementView)
router.register("generations", GenerationView)
router.register("policy", PolicyView, basename="policy")
router.register("entities", EntityView)
router.register("feeds", FeedView)
router.register("messages", MessageView)
router.register("replies", ReplyView)
router.register("engines", EngineView)
router.register("events", EventView)

app_name = "api"
urlpatterns = [
    path("v1/", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(renderer_classes=[OpenApiJsonRenderer2, OpenApiYamlRenderer]), name="schema"),
    path("docs/", staff_member_required(SpectacularSwaggerSplitView.as_view(url_name="api:schema")), name="docs"),
]
