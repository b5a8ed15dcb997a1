"""The front page of the admin: how it goes, at a glance, with small charts. Drawn anew every five seconds while it is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count
from django.db.models.functions import TruncMinute
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from cluster import read as cluster
from cluster.bars import bars
from cluster.read import Overview
from conversations import read as conversations
from conversations.pulse import MINUTE, pulse
from entities import read as entities
from swwbot_site.lib import clock
from swwbot_site.lib.words import span
from swwbot_site.models import Event
from swwbot_site.monitoring.trouble import troubles

MINUTES: Final = 60
"""So far back the charts go."""

LATELY: Final = 5
"""Minutes that "a minute" is the mean of."""

TOP: Final = 30.0
"""Height of a chart's drawing; its width is the number of its values."""

ERRORS: Final = 5
"""So many of the latest errors are named."""

RIGHT: Final = ("cluster.view_server", "conversations.view_reply")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Columns of a small chart, in the units of its drawing: from left, from above, width, height."""

    columns: tuple[tuple[float, float, float, float], ...]
    told: str
    """The same for those who do not see it."""
    top: str
    """What the highest column stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure of the front page. `mood` is its colour: empty, warn, bad."""

    name: str
    figure: str
    note: str = ""
    mood: str = ""
    chart: Chart | None = None
    link: str = ""


def chart(values: Sequence[float], told: str, top: str) -> Chart:
    """A column for each value, the highest as high as the drawing."""
    most = max(values, default=0.0)
    heights = [TOP * value / most if most else 0.0 for value in values]
    columns = tuple((number + 0.1, round(TOP - height, 2), 0.8, round(height, 2)) for number, height in enumerate(heights) if height)
    return Chart(columns=columns, told=told, top=top if most else "")


def tiles(view: Overview, now: datetime) -> tuple[Tile, ...]:
    """The figures, each with its chart."""
    beat = pulse(now, MINUTES)
    counts = [minute.posted for minute in beat.minutes]
    slow = [minute.p95 or 0.0 for minute in beat.minutes]
    oldest = min((one.since for one in view.queue), default=None)
    errors = _errors(now)
    lately = sum(counts[-LATELY:]) / LATELY
    held = conversations.open_replies().get("held", 0)
    return (
        Tile(
            name="Answers a minute",
            figure=f"{lately:.1f}",
            note=f"{beat.posted} in the last hour" + (f", {held} on hold" if held else ""),
            chart=chart(counts, f"answers in each of the last {MINUTES} minutes, at most {max(counts)}", f"highest: {max(counts)}"),
            link="admin:conversations_reply_changelist",
        ),
        Tile(
            name="Waiting for a model",
            figure=str(view.waiting),
            note=f"{view.running} being answered" + (f", the oldest waits {span(now - oldest)}" if oldest else ""),
            mood="warn" if oldest and now - oldest > MINUTE else "",
            link="admin:cluster_generation_changelist",
        ),
        Tile(
            name="From message to answer",
            figure=span(beat.p50),
            note=f"half of them; 95 of 100 within {span(beat.p95)}" if beat.p95 is not None else "no answer in the last hour",
            chart=chart(
                slow, f"seconds within which 95 of 100 answers came, in each of the last {MINUTES} minutes", f"highest: {span(max(slow))}"
            ),
        ),
        Tile(
            name="Errors in the last hour",
            figure=str(sum(errors)),
            note="none" if not any(errors) else "see the events",
            mood="bad" if any(errors[-LATELY:]) else "warn" if any(errors) else "",
            chart=chart(errors, f"errors in each of the last {MINUTES} minutes", f"highest: {max(errors)}"),
            link="admin:swwbot_site_event_changelist",
        ),
    )


def _errors(now: datetime) -> list[int]:
    """Errors in each of the last minutes, oldest first."""
    first = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    rows = Event.objects.filter(at__gte=first, level="error").annotate(minute=TruncMinute("at")).order_by().values_list("minute")
    found = dict(rows.annotate(n=Count("pk")))
    return [found.get(first + number * MINUTE, 0) for number in range(MINUTES)]


def board(request: HttpRequest) -> dict[str, Any]:
    """What the front page shows; nothing but a hint to whoever may not look at servers and answers."""
    if not request.user.has_perms(RIGHT):
        return {"may_look": False}
    now, view = clock.now(), cluster.overview()
    wrong = troubles(view, conversations.engines(now), conversations.feeds(), entities.counted(), now, conversations.stopped())
    return {
        "may_look": True,
        "now": now,
        "troubles": wrong,
        "tiles": tiles(view, now),
        "bars": bars(view),
        "width": MINUTES,
        "errors": Event.objects.filter(level="error", at__gte=now - timedelta(minutes=MINUTES)).order_by("-id")[:ERRORS],
    }


def callback(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """django-unfold's `DASHBOARD_CALLBACK`."""
    return {**context, **board(request), "title": "How it goes"}


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The inside of the front page."""
    return render(request, "admin/board.html", board(request))
