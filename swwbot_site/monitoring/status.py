"""The status page: the whole system at a glance, redrawn every two seconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zlib import crc32

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRedirect

from cluster import read as cluster
from cluster.read import Held, Machine, Overview
from conversations import read as conversations
from conversations.read import Pace, Source, Stop, Worker
from swwbot_site.lib import clock

HUES: Final = 12
"""Colours of models in the style sheet."""

ANSWERS: Final = 12
"""Answers shown."""

UNDERWAY: Final = 3
"""Answers under way shown above them."""

LATELY: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One model in a server's memory bar: where it begins and ends, in percent of the bar."""

    held: Held
    x: float
    width: float
    hue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One server as it is drawn. `mood` is its colour: good, busy, warn, bad, off."""

    server: Machine
    mood: str
    word: str
    segments: tuple[Segment, ...]
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that keeps messages from being answered, and what to do."""

    text: str
    advice: str


def palette(models: Iterable[str]) -> dict[str, int]:
    """A colour for each model: its own, or the next free one where two would share; the same whatever the order."""
    chosen: dict[str, int] = {}
    for model in sorted(set(models)):
        hue = crc32(model.encode()) % HUES
        while hue in chosen.values() and len(chosen) < HUES:
            hue = (hue + 1) % HUES
        chosen[model] = hue
    return chosen


def card(server: Machine, hues: Mapping[str, int]) -> Card:
    """A server's place on the page."""
    full = max(server.budget_gb, server.held_gb) or 1.0
    segments, x = [], 0.0
    for held in sorted(server.held, key=lambda one: (-one.gb, one.instance)):
        width = 100 * held.gb / full
        segments.append(Segment(held=held, x=round(x, 2), width=round(width, 2), hue=hues[held.model]))
        x += width
    mood, word = _mood(server)
    return Card(server=server, mood=mood, word=word, segments=tuple(segments), percent=round(100 * server.held_gb / full))


def _mood(server: Machine) -> tuple[str, str]:
    if not server.enabled:
        return "off", "switched off"
    if server.state == "online":
        if server.draining:
            return "warn", "draining"
        loading = any(one.state == "loading" for one in server.held)
        return ("busy", "loading") if loading else ("busy", "answering") if server.in_flight else ("good", "online")
    words = {"unknown": "not seen yet", "misconfigured": "misconfigured", "rate-limited": "rate-limited"}
    return ("warn", words[server.state]) if server.state in words else ("bad", server.state)


def troubles(
    view: Overview, engines: Sequence[Worker], feeds: Sequence[Source], now: datetime, stopped: Stop | None = None
) -> tuple[Trouble, ...]:
    """What is wrong, the worst first."""
    found = []
    if stopped:
        advice = "It waits for somebody to resume it: in the admin under Posting and policy, or with manage.py resume."
        found.append(Trouble(text=f"{stopped}.", advice=advice))
    if not any(engine.living for engine in engines):
        found.append(
            Trouble(
                text="No engine is running: nothing is read, answered or posted.", advice="Start a worker: make up, or manage.py qcluster."
            )
        )
    enabled = [server for server in view.servers if server.enabled]
    if enabled and not any(server.state == "online" for server in enabled):
        found.append(Trouble(text="No server is online.", advice="Each card says why; manage.py doctor asks them all again."))
    for feed in feeds:
        if feed.enabled and feed.failures:
            found.append(
                Trouble(
                    text=f"The feed {feed.name} fails ({feed.failures} times in a row): {feed.error}",
                    advice="Its address is in the admin, under Feeds.",
                )
            )
        elif feed.enabled and feed.polled_at and now - feed.polled_at > timedelta(seconds=max(30.0, 6 * feed.poll_interval_s)):
            found.append(Trouble(text=f"The feed {feed.name} has not been read for a while.", advice="Is an engine running?"))
    return tuple(found)


def context(now: datetime) -> dict[str, Any]:
    """Everything the page shows, read at one moment."""
    view, engines, feeds = cluster.overview(), conversations.engines(now), conversations.feeds()
    pace: Pace = conversations.pace(now - LATELY)
    hues = palette([held.model for server in view.servers for held in server.held] + [waiting.model for waiting in view.queue])
    return {
        "now": now,
        "view": view,
        "cards": [card(server, hues) for server in view.servers],
        "queue": [(waiting, hues[waiting.model]) for waiting in view.queue],
        "online": sum(server.enabled and server.state == "online" for server in view.servers),
        "enabled": sum(server.enabled for server in view.servers),
        "in_flight": sum(server.in_flight for server in view.servers),
        "slots": sum(server.slots for server in view.servers),
        "engines": engines,
        "living": sum(engine.living for engine in engines),
        "feeds": feeds,
        "pace": pace,
        "answers": conversations.latest(ANSWERS, UNDERWAY),
        "troubles": troubles(view, engines, feeds, now, conversations.stopped()),
    }


def badge(request: HttpRequest) -> list[str] | None:
    """What every page of the admin says in its head: that nothing is posted, if it is so."""
    return ["posting is stopped", "danger"] if _staff(request) and conversations.stopped() else None


def on_hold(request: HttpRequest) -> str:
    """How many answers wait for a person, for the sidebar; nothing if none does."""
    return str(conversations.open_replies().get("held", "") if _staff(request) else "")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`/status/`, for staff; others are sent to the login."""
    if not _staff(request):
        return redirect_to_login(request.path, reverse("admin:login"))
    return render(request, "status/page.html", context(clock.now()))


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """`/status/live/`: what is inside the page. Whose login has ended is sent to the login."""
    if not _staff(request):
        return HttpResponseClientRedirect(f"{reverse('admin:login')}?next={reverse('status')}")
    return render(request, "status/live.html", context(clock.now()))


def _staff(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_staff
