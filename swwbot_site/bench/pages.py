"""How long the server takes for every page that people look at, over a million messages: lists, searches, filters, rows, the front page.

On a database of its own, which is removed. Measured in this process, as the web server's own part: no network, no browser.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from swwbot_site.bench import crowd
from swwbot_site.bench.figures import machine, spread
from swwbot_site.bench.stage import own_database

MESSAGES: Final = 1_000_000
REPLIES: Final = 200_000
TIMES: Final = 10
TARGET_MS: Final = 300.0
APPS: Final = ("cluster", "conversations", "entities", "swwbot_site", "django_q")
WORD: Final = "garden"
RARE: Final = "nobody-has-said-this"
OTHERS: Final = ("admin:index", "status", "status-live", "admin:cluster_server_memory", "metrics")
OF_ONE: Final = (
    ("why-reply", "conversations", "reply"),
    ("why-message", "conversations", "message"),
    ("prompt-preview", "entities", "entity"),
)


def run(
    messages: int = MESSAGES, replies: int = REPLIES, times: int = TIMES, tell: Callable[[str], object] = lambda _: None
) -> dict[str, object]:
    """Every page's milliseconds and queries, the slowest first; `over` counts those whose p95 is over the target."""
    with own_database():
        crowd.settle(messages, replies, tell)
        return {"machine": machine(), **measure(times, tell)}


def measure(
    times: int, tell: Callable[[str], object] = lambda _: None, wanted: Callable[[str], bool] = lambda _: True
) -> dict[str, object]:
    """The pages (those whose names are wanted) over the rows that are there."""
    user = get_user_model()._default_manager.create_superuser("bench", password="")
    client = Client(SERVER_NAME="localhost", raise_request_exception=True)
    client.force_login(user)
    rows = []
    for name, address in filter(lambda page: wanted(page[0]), pages()):
        tell(f"measuring {name}")
        rows.append({"page": name, **_timed(client, address, times)})
    rows.sort(key=lambda row: -float(str(row["p95_ms"])))
    over = sum(float(str(row["p95_ms"])) > TARGET_MS for row in rows)
    return {"pages": rows, "whole": {"pages": len(rows), "over_300_ms": over}}


def pages() -> Iterator[tuple[str, str]]:
    """Name and address of every page."""
    for name in OTHERS:
        yield name, reverse(name)
    for kind in sorted(apps.get_models(), key=lambda kind: kind._meta.label):
        if kind._meta.app_label in APPS and admin.site.is_registered(kind):
            yield from _of(kind)
    for name, app, model in OF_ONE:
        if (pk := _last(apps.get_model(app, model))) is not None:
            yield name, reverse(name, args=[pk])


def _of(kind: type[Model]) -> Iterator[tuple[str, str]]:
    """A model's list, its searches and filters, its first and last column as the order, and its newest row."""
    page: Any = admin.site.get_model_admin(kind)
    model = str(kind._meta.model_name)
    there = reverse(f"admin:{kind._meta.app_label}_{model}_changelist")
    yield f"{model} list", there
    if page.search_fields:
        for word in (WORD, RARE):
            yield f"{model} list, {word!r}", f"{there}?{urlencode({'q': word})}"
    for field in ("state", "level", "kind"):
        if field in page.list_filter:
            for value in kind._default_manager.order_by().values_list(field, flat=True).distinct()[:8]:
                yield f"{model} list, {field} {value}", f"{there}?{urlencode({f'{field}__exact': value})}"
    first = 1 if page.actions or getattr(page, "deeds", ()) else 0  # where there are actions, the boxes to tick come before all columns
    sortable = [number for number, name in enumerate(page.list_display, first) if page.sortable_by is None or name in page.sortable_by]
    for column in sorted({*sortable[:1], *sortable[-1:]}):
        yield f"{model} list, by column {column}", f"{there}?o={column}"
    if (pk := _last(kind)) is not None:
        yield f"{model} row", reverse(f"admin:{kind._meta.app_label}_{model}_change", args=[pk])


def _last(kind: type[Model]) -> object:
    """The newest row's key."""
    return kind._default_manager.order_by("-pk").values_list("pk", flat=True).first()


def _timed(client: Client, address: str, times: int) -> dict[str, object]:
    """Milliseconds of one page after a first look, by the clock and of this process's CPU, and its queries."""
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    asked = len(queries)  # the next request clears the record
    found, own = [], []
    for _ in range(times):
        began, worked = time.perf_counter(), time.process_time()
        client.get(address)
        found.append((time.perf_counter() - began) * 1000)
        own.append((time.process_time() - worked) * 1000)
    told = spread(found, 1)
    return {
        "status": answer.status_code,
        "queries": asked,
        "p50_ms": told["p50"],
        "p95_ms": told["p95"],
        "cpu_ms": spread(own, 1)["p50"],
    }
