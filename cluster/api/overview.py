"""The cluster at one moment as JSON: the values of `cluster.read`."""

from typing import Any

from rest_framework import serializers


class HeldSerializer(serializers.Serializer[Any]):
    """A model in a server's memory; `in_flight` of `slots` answers are being written. `progress`, 0 … 1, while it loads.

    `rest_until`: it failed too often, and is asked nothing before. `preloaded`: loaded before anybody asked.
    """

    model = serializers.CharField()
    instance = serializers.CharField()
    state = serializers.CharField()
    gb = serializers.FloatField()
    slots = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    pinned = serializers.BooleanField()
    since = serializers.DateTimeField()
    used_at = serializers.DateTimeField(allow_null=True)
    progress = serializers.FloatField(allow_null=True)
    rest_until = serializers.DateTimeField(allow_null=True)
    preloaded = serializers.BooleanField()


class MachineSerializer(serializers.Serializer[Any]):
    """A server and what it holds. `dialect` is empty until it is found out."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    enabled = serializers.BooleanField()
    draining = serializers.BooleanField()
    dialect = serializers.CharField()
    version = serializers.CharField()
    latency_ms = serializers.FloatField(allow_null=True)
    failures = serializers.IntegerField()
    retry_at = serializers.DateTimeField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True)
    budget_gb = serializers.FloatField()
    held_gb = serializers.FloatField()
    slots = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    held = HeldSerializer(many=True)


class WaitingSerializer(serializers.Serializer[Any]):
    """What waits for one model: `first` is the most urgent priority, `bands` counts by name of priority, `why` is told to the first of them."""

    model = serializers.CharField()
    count = serializers.IntegerField()
    first = serializers.IntegerField()
    since = serializers.DateTimeField()
    bands = serializers.DictField(child=serializers.IntegerField())
    why = serializers.CharField()


class OverviewSerializer(serializers.Serializer[Any]):
    """The whole cluster: servers by name, what waits by priority and age."""

    running = serializers.IntegerField()
    waiting = serializers.IntegerField()
    servers = MachineSerializer(many=True)
    queue = WaitingSerializer(many=True)


class WarmthSerializer(serializers.Serializer[Any]):
    """What came of models that were loaded before anybody asked; `hit_rate`, 0 … 1, is null while nothing is known."""

    preloads = serializers.IntegerField()
    hits = serializers.IntegerField()
    misses = serializers.IntegerField()
    open = serializers.IntegerField()
    hit_rate = serializers.FloatField(allow_null=True)
    loaded_gb = serializers.FloatField()
    wasted_gb = serializers.FloatField()
