"""The cluster's own past as a trace: what was asked, by whom, and how long the answers were, with the servers as they are now.

Left out is what cost no server anything: answers from the cache, requests that shared another one's answer, and those that were
cancelled before they were asked. A request that was never answered counts with the mean length of its model's answers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, Final

from django.db.models import Avg, Count, F, Min, Q, QuerySet, Sum

from cluster.logic.lifecycle import GenerationState
from cluster.logic.memory import headroom_gb
from cluster.logic.state import USUAL_GB_PER_S
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server
from swwbot_site.lib.errors import BotError, Fault

CHUNK: Final = 2000
USUAL_SLOTS: Final = 4


class NoHistoryError(BotError):
    """There is nothing to make a trace of, or something is missing that no row tells."""

    code = "no-history"
    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A trace: its meta, and its requests in the order of their arrival, read while they are taken."""

    meta: dict[str, Any]
    requests: Iterator[dict[str, Any]]
    count: int


def history(since: datetime, until: datetime, patience_s: float | None = None) -> History:
    """What was queued from `since` up to `until`. `patience_s`: how long a request may wait; None: as its deadlines say, in the middle.

    Raises NoHistoryError.
    """
    rows = Generation.objects.filter(queued_at__gte=since, queued_at__lt=until, cached=False, leader__isnull=True)
    rows = rows.exclude(state=GenerationState.CANCELLED, asked_at__isnull=True).order_by()
    told = rows.aggregate(count=Count("pk"), first=Min("queued_at"))
    if not told["count"]:
        raise NoHistoryError(f"Nothing was asked of a server between {since:%Y-%m-%d %H:%M} and {until:%Y-%m-%d %H:%M}; begin earlier.")
    sizes = dict(LanguageModel.objects.filter(pk__in=rows.values("model_id")).order_by("key").values_list("key", "size_gb"))
    servers = _servers(rows)
    meta: dict[str, Any] = {
        "servers": servers,
        **_common(servers),
        "patience_s": patience_s or _patience(rows),
        "models": {key: round(size, 3) for key, size in sizes.items()},
        "since": since.isoformat(),
        "until": until.isoformat(),
    }
    if region := ClusterPolicy.current().region:
        meta["region"] = region
    return History(meta=meta, requests=_requests(rows, told["first"]), count=told["count"])


def _requests(rows: QuerySet[Generation], first: datetime) -> Iterator[dict[str, Any]]:
    means = {model: mean for model, mean in rows.values_list("model_id").annotate(mean=Avg("completion_tokens")) if mean is not None}
    usual = sum(means.values()) / len(means)
    pins = dict(Server.objects.filter(enabled=True).values_list("pk", "name"))
    columns = ("queued_at", "model_id", "model__key", "completion_tokens", "caller", "priority", "pin_id")
    ordered = rows.order_by("queued_at", "pk").values_list(*columns)
    for number, (queued, model_id, key, tokens, caller, priority, pin) in enumerate(ordered.iterator(chunk_size=CHUNK), 1):
        yield {
            "t": round((queued - first).total_seconds(), 4),
            "model": key,
            "conversation": number,  # no row of the cluster says which requests belong together
            "tokens": round(means.get(model_id, usual)) if tokens is None else tokens,
            "entity": caller,
            "priority": priority,
            **({"pin": pins[pin]} if pin in pins else {}),
        }


def _patience(rows: QuerySet[Generation]) -> float:
    spans = rows.filter(deadline__gt=F("queued_at")).values_list("queued_at", "deadline").iterator(chunk_size=CHUNK)
    seconds = [(deadline - queued).total_seconds() for queued, deadline in spans if deadline is not None]
    if not seconds:
        raise NoHistoryError("No request of that time had a deadline; say with --patience how many seconds one may wait.")
    return round(median(seconds), 3)


def _servers(rows: QuerySet[Generation]) -> list[dict[str, Any]]:
    """The enabled servers, each with what was learned of its disk and of its answers."""
    servers = list(Server.objects.filter(enabled=True).order_by("name"))
    if not servers:
        raise NoHistoryError("No server is enabled; a trace says what runs where it is simulated. Enable one in the admin.")
    speeds = _speeds(rows)
    if not speeds:
        raise NoHistoryError("No request of that time was answered, so nothing tells how long answers take; begin earlier.")
    everywhere = [sum(column) for column in zip(*speeds.values(), strict=True)]
    loads = {
        server: (gb, seconds)
        for server, gb, seconds in Offer.objects.filter(load_seconds__gt=0)
        .order_by()
        .values_list("server_id")
        .annotate(gb=Sum("model__size_gb"), seconds=Sum("load_seconds"))
    }
    seen = _slots()
    keys = dict(LanguageModel.objects.values_list("pk", "key"))
    found = []
    for server in servers:
        here = {model: pair for (server_id, model), pair in speeds.items() if server_id == server.pk}
        tokens, seconds = (sum(column) for column in zip(*here.values(), strict=True)) if here else everywhere
        gb, loading = loads.get(server.pk, (USUAL_GB_PER_S, 1.0))
        found.append(
            {
                "name": server.name,
                "memory_gb": round(server.budget_gb - headroom_gb(server.budget_gb), 3),
                "slots": server.slots or seen.get(server.pk, USUAL_SLOTS),
                "load_gbps": round(gb / loading, 4),
                "tok_per_s": round(tokens / seconds, 3),
                **({"region": server.region} if server.region else {}),
                **({"speeds": {keys[model]: round(pair[0] / pair[1], 3) for model, pair in sorted(here.items())}} if here else {}),
            }
        )
    return found


def _speeds(rows: QuerySet[Generation]) -> dict[tuple[int, int], tuple[float, float]]:
    """Tokens and seconds of all answers, by server and model: whole answers, the reading of the prompt included."""
    answered = rows.filter(Q(state=GenerationState.DONE), completion_tokens__gt=0, asked_at__lt=F("ended_at"), server__isnull=False)
    sums = answered.values_list("server_id", "model_id").annotate(tokens=Sum("completion_tokens"), time=Sum(F("ended_at") - F("asked_at")))
    return {(server, model): (float(tokens), time.total_seconds()) for server, model, tokens, time in sums}


def _slots() -> dict[int, int]:
    """Answers at once of a model, by server: what most of its instances had."""
    seen: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for server, slots, n in Placement.objects.order_by().values_list("server_id", "slots").annotate(n=Count("pk")):
        seen[server][slots] += n
    return {server: max(counts.items(), key=lambda one: (one[1], one[0]))[0] for server, counts in seen.items()}


def _common(servers: list[dict[str, Any]]) -> dict[str, Any]:
    """What a server is that is added in a what-if: the middle of those there are."""
    names = ("memory_gb", "load_gbps", "tok_per_s")
    return {name: median(server[name] for server in servers) for name in names} | {
        "slots": Counter(server["slots"] for server in servers).most_common(1)[0][0]
    }
