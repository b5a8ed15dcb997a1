"""Figures for Prometheus, read from rows when they are asked for; no process counts anything."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster import read as cluster
from cluster import warm
from conversations import read as conversations
from swwbot_site.lib import clock

WINDOW: Final = timedelta(minutes=5)
"""What "lately" means for what has ended."""

DAY: Final = timedelta(days=1)
"""How far back guesses about models are judged."""


class Rows(Collector):
    """Reads everything at each scrape."""

    def describe(self) -> Iterator[Metric]:
        """Nothing: otherwise registering would read the rows."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges of this moment."""
        now = clock.now()
        view, pace = cluster.overview(), conversations.pace(now - WINDOW)
        yield _gauge("swwbot_queue", "Requests that wait, by model.", "model", {one.model: one.count for one in view.queue})
        waits = {one.model: (now - one.since).total_seconds() for one in view.queue}
        yield _gauge("swwbot_queue_oldest_seconds", "Longest wait, by model.", "model", waits)
        yield _gauge("swwbot_running", "Requests that are being answered.", "", {"": view.running})
        yield _gauge("swwbot_generations_ended_5m", "Requests that ended in five minutes, by state.", "state", cluster.ended(now - WINDOW))
        yield _gauge("swwbot_seats", "Answers being written, by server.", "server", {one.name: one.in_flight for one in view.servers})
        yield _gauge(
            "swwbot_memory_held_gb", "Memory that models hold, by server.", "server", {one.name: one.held_gb for one in view.servers}
        )
        yield _gauge("swwbot_memory_budget_gb", "Memory that models may hold.", "server", {one.name: one.budget_gb for one in view.servers})
        states: dict[str, float] = {}
        for one in view.servers:
            states[one.state] = states.get(one.state, 0) + 1
        yield _gauge("swwbot_servers", "Servers, by state.", "state", states)
        yield _gauge("swwbot_replies_open", "Answers under way, by state.", "state", conversations.open_replies())
        ended = {"posted": pace.posted, "dropped": pace.dropped, "failed": pace.failed}
        yield _gauge("swwbot_replies_ended_5m", "Answers that ended in five minutes, by state.", "state", ended)
        yield _gauge("swwbot_messages_5m", "Messages of humans in five minutes.", "", {"": pace.messages})
        warmth = warm.report(now - DAY)
        counts = {"hit": warmth.hits, "miss": warmth.misses, "open": warmth.open}
        yield _gauge("swwbot_preloads_1d", "Models loaded in a day before anybody asked, by what came of it.", "result", counts)
        yield _gauge("swwbot_preload_wasted_gb_1d", "Memory loaded in a day that nobody asked for.", "", {"": warmth.wasted_gb})
        yield _gauge("swwbot_engines", "Engines that live.", "", {"": sum(one.living for one in conversations.engines(now))})


def _gauge(name: str, text: str, label: str, values: "dict[str, int] | dict[str, float]") -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    for value, number in values.items():
        family.add_metric([value] if label else [], number)
    return family


registry = CollectorRegistry(auto_describe=False)
registry.register(Rows())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """`/metrics`; absent when ENABLE_METRICS is off."""
    if not settings.ENABLE_METRICS:
        raise Http404
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
