"""Everything at one moment, in `/api/v1/`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers

from cluster import read as cluster
from cluster import warm
from cluster.api.overview import OverviewSerializer, WarmthSerializer
from cluster.read import Overview
from cluster.warm import Warmth
from conversations import read as conversations
from conversations.api.serializers import PaceSerializer, SourceSerializer, WorkerSerializer
from conversations.read import Pace, Source, Worker
from swwbot_site.lib import clock
from swwbot_site.lib.apikit import One

LATELY: Final = timedelta(minutes=5)
"""How far back the status counts."""

DAY: Final = timedelta(days=1)
"""How far back it judges guesses about models."""


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
    needs = {"list": "cluster.view_server conversations.view_feed"}

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
