"""The figures of `/metrics`, read from rows at each scrape; no process counts them.

Gauges are of this moment, those that end in `_5m` of the last five minutes. Counters are the sums of the tallies (see `reckon`): they lag
by less than a minute and never fall, whatever is thrown away.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final, TypeVar

from django.db.models import Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster import figures as cluster_figures
from cluster import read as cluster
from cluster import warm
from cluster.read import Overview
from conversations import figures as conversation_figures
from conversations import read as conversations
from entities import read as entities
from swwbot_site.lib import clock
from swwbot_site.models import Delivery, Tally
from swwbot_site.monitoring.reckon import REQUESTS

WINDOW: Final = timedelta(minutes=5)
"""What "lately" means for what has ended."""

DAY: Final = timedelta(days=1)
"""How far back guesses about models are judged."""

MONTH: Final = timedelta(days=30)
GB: Final = 1e9
"""Bytes; Prometheus wants base units."""

BUSY: Final = 10
"""So many entities have their limits told: those that posted most in the last hour."""

L = TypeVar("L", bound=tuple[str, ...])

COUNTERS: Final = (
    ("generations", "swwbot_generations", "Requests that have ended.", "state"),
    ("tokens_in", "swwbot_tokens_in", "Tokens of prompts that servers have read.", "model"),
    ("tokens_out", "swwbot_tokens_out", "Tokens of answers that servers have written.", "model"),
    ("loads", "swwbot_loads", "Loads that succeeded.", "model"),
    ("load_seconds", "swwbot_load_seconds", "Seconds that those loads took.", "model"),
    ("preloads", "swwbot_preloads", "Loads among them that nobody had asked for yet.", "model"),
    ("loads_failed", "swwbot_loads_failed", "Loads that failed.", "model"),
    ("evictions", "swwbot_evictions", "Models that had to leave for another one.", "model"),
    ("replies", "swwbot_replies", "Answers that have ended, by how.", "outcome"),
    ("messages", "swwbot_messages", "Messages that were read, by who wrote them.", "kind"),
    (REQUESTS, "swwbot_feed_requests", "Requests sent to a feed.", "feed"),
)
"""A tally's name, the metric's, what it is, and what its label means."""


class Rows(Collector):
    """Reads everything at each scrape."""

    def describe(self) -> Iterator[Metric]:
        """Nothing: otherwise registering would read the rows."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Every figure of this moment."""
        now = clock.now()
        view = cluster.overview()
        yield from _queue(view, now)
        yield from _servers(view, now)
        yield from _answers(now)
        yield from _limits(now)
        yield from _feeds(now)
        yield from _counters()


def _queue(view: Overview, now: datetime) -> Iterator[Metric]:
    bands = {(one.model, band): float(n) for one in view.queue for band, n in one.bands.items()}
    yield _gauge("swwbot_queue", "Requests that wait, by band of priority.", ("model", "band"), bands)
    oldest = {(one.model,): (now - one.since).total_seconds() for one in view.queue}
    yield _gauge("swwbot_queue_oldest_seconds", "Longest wait of those that wait.", ("model",), oldest)
    yield _gauge("swwbot_running", "Requests that are being answered.", (), {(): float(view.running)})
    lately = cluster_figures.waits(now - WINDOW)
    waits = {(one.model, str(q)): seconds for one in lately for q, seconds in one.queued_s.items()}
    yield _gauge("swwbot_wait_seconds_5m", "From queued to asked, of requests that ended.", ("model", "q"), waits)
    first = {(one.model, str(q)): seconds for one in lately for q, seconds in one.first_token_s.items()}
    yield _gauge("swwbot_first_token_seconds_5m", "From asked to the first token.", ("model", "q"), first)


def _servers(view: Overview, now: datetime) -> Iterator[Metric]:
    servers, label = view.servers, ("server",)
    yield _gauge("swwbot_servers", "Servers, by state.", ("state",), Counter((one.state,) for one in servers))
    yield _gauge(
        "swwbot_server_up", "1: it answers.", label, {(one.name,): float(one.enabled and one.state == "online") for one in servers}
    )
    yield _gauge("swwbot_seats", "Answers being written.", label, {(one.name,): float(one.in_flight) for one in servers})
    yield _gauge("swwbot_slots", "Answers that may be written at once.", label, {(one.name,): float(one.slots) for one in servers})
    yield _gauge("swwbot_memory_held_bytes", "Memory that models hold.", label, {(one.name,): one.held_gb * GB for one in servers})
    yield _gauge("swwbot_memory_budget_bytes", "Memory that models may hold.", label, {(one.name,): one.budget_gb * GB for one in servers})
    yield _gauge("swwbot_server_failures", "Failures in a row.", label, {(one.name,): float(one.failures) for one in servers})
    waiting = {(one.name,): float(bool(one.retry_at and one.retry_at > now)) for one in servers}
    yield _gauge("swwbot_server_breaker_open", "1: nothing is asked of it for a while; then one probe decides.", label, waiting)
    pairs = [(one.name, held) for one in servers for held in one.held]
    resting = {(name, held.instance): float(held.rest_until > now) for name, held in pairs if held.rest_until}
    yield _gauge(
        "swwbot_placement_breaker_open", "1: it failed too often and rests; 0: one request is let in.", ("server", "instance"), resting
    )
    loading = Counter((name,) for name, held in pairs if held.state == "loading")
    yield _gauge("swwbot_loading", "Models on their way into memory.", label, loading)
    warmth = warm.report(now - DAY)
    found = {("hit",): float(warmth.hits), ("miss",): float(warmth.misses), ("open",): float(warmth.open)}
    yield _gauge("swwbot_preloads_1d", "Models loaded in a day before anybody asked, by what came of it.", ("result",), found)
    yield _gauge("swwbot_preload_wasted_bytes_1d", "Memory loaded in a day that nobody asked for.", (), {(): warmth.wasted_gb * GB})


def _answers(now: datetime) -> Iterator[Metric]:
    pace = conversations.pace(now - WINDOW)
    yield _gauge("swwbot_replies_open", "Answers under way.", ("state",), {(k,): float(n) for k, n in conversations.open_replies().items()})
    ended = {("posted",): float(pace.posted), ("dropped",): float(pace.dropped), ("failed",): float(pace.failed)}
    yield _gauge("swwbot_replies_ended_5m", "Answers that ended.", ("state",), ended)
    yield _gauge("swwbot_messages_5m", "Messages of humans.", (), {(): float(pace.messages)})
    seconds = {(str(q),): value for q, value in conversation_figures.answer_seconds(now - WINDOW).items()}
    yield _gauge("swwbot_answer_seconds_5m", "From reading a message to seeing its answer in the feed.", ("q",), seconds)
    generations = {(state,): float(n) for state, n in cluster.ended(now - WINDOW).items()}
    yield _gauge("swwbot_generations_ended_5m", "Requests that ended.", ("state",), generations)
    yield _gauge("swwbot_posting_stopped", "1: the global stop is pulled.", (), {(): float(conversations.stopped() is not None)})
    yield _gauge("swwbot_engines", "Engines that live.", (), {(): float(sum(one.living for one in conversations.engines(now)))})
    waiting = Delivery.objects.filter(state="waiting").count()
    yield _gauge("swwbot_webhook_deliveries_waiting", "Events on their way to webhooks.", (), {(): float(waiting)})


def _limits(now: datetime) -> Iterator[Metric]:
    """What the limits leave the busiest; the same rule of all together stands at each of them."""
    busiest = entities.busiest(now - timedelta(hours=1), BUSY)
    quotas = entities.quotas(busiest, now)
    left = {(busiest[pk], str(one.rule)): float(one.remaining) for pk, quota in quotas.items() for one in quota.left}
    yield _gauge("swwbot_limit_remaining", "Posts that a limit leaves now, of the busiest entities.", ("entity", "limit"), left)


def _feeds(now: datetime) -> Iterator[Metric]:
    feeds = conversations.feeds()
    failing = {(one.name,): float(one.failures) for one in feeds}
    yield _gauge("swwbot_feed_failures", "Polls of a feed that failed in a row.", ("feed",), failing)
    days: defaultdict[str, dict[bool, float]] = defaultdict(dict)
    for day, feed, value in Tally.objects.filter(name=REQUESTS, day__gte=now.date() - DAY).values_list("day", "label", "value"):
        days[feed][day == now.date()] = value
    today = {(one.name,): days[one.name].get(True, 0.0) for one in feeds}
    yield _gauge("swwbot_feed_requests_today", "Requests sent to a feed since midnight, UTC.", ("feed",), today)
    months = {}
    for one in feeds:
        least = MONTH.total_seconds() / one.poll_interval_s if one.enabled else 0.0
        months[one.name,] = projected(days[one.name].get(True, 0.0), days[one.name].get(False), least, now)
    yield _gauge("swwbot_feed_requests_month_projected", "Requests in 30 days, if it goes on like this.", ("feed",), months)


def projected(today: float, yesterday: float | None, least: float, now: datetime) -> float:
    """Requests in 30 days by those of yesterday and today, at least `least` where yesterday had none: the polls alone make so many."""
    elapsed = (now - datetime.combine(now.date(), time(), UTC)).total_seconds()
    if yesterday is None:
        return max(least, today / max(elapsed, 1.0) * MONTH.total_seconds())
    return (today + yesterday) / (elapsed + DAY.total_seconds()) * MONTH.total_seconds()


def _counters() -> Iterator[Metric]:
    sums: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, label, value in Tally.objects.order_by("name", "label").values_list("name", "label").annotate(value=Sum("value")):
        sums[name][label] = value
    for name, metric, text, meaning in COUNTERS:
        family = CounterMetricFamily(metric, text, labels=[meaning])
        for label, value in sums[name].items():
            family.add_metric([label], value)
        yield family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[L, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    for value, number in values.items():
        family.add_metric(list(value), number)
    return family
