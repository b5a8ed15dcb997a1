"""What is told as it happens: a request to a model that is watched, and events. Read from rows, ended in time, open to nobody else."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from cluster import queue
from cluster.api.generations import _news
from swwbot_site import tokens
from swwbot_site.api.happenings import LAG, Ear
from swwbot_site.lib import apistream, clock, streams
from swwbot_site.models import Event
from tests import build

V1 = "/api/v1/"


def told(part: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a part: each one's name and what it says."""
    found = [dict(line.split(": ", 1) for line in one.split("\n")) for one in part.decode().split("\n\n") if one]
    return [(one["event"], json.loads(one["data"])) for one in found]


def test_a_request_tells_how_it_stands_until_it_has_ended(db: None) -> None:
    row = build.generation(decision={"waits": "no room yet"})
    look = _news(row.pk)
    part, last = look()
    (kind, said), *more = told(part)
    assert (kind, said["state"], said["waits"], more, last) == ("progress", "queued", "no room yet", [], False)
    assert look() == (b"", False)
    assert queue.cancel(row.pk, clock.now(), "enough")
    part, last = look()
    (kind, said), *_ = told(part)
    assert (kind, said["state"], said["error"], last) == ("ended", "cancelled", "enough", True)
    row.delete()
    assert look() == (b"", True)


@pytest.mark.parametrize(
    ("scope", "address", "last", "status"),
    [
        ("read", "generations/999999/progress/", "", 404),
        ("generate", "events/stream/", "", 403),
        ("read", "events/stream/", "x", 400),
        ("read", "events/stream/", "9" * 30, 400),
        ("read", "events/stream/?kinds=reply.", "", 400),
    ],
)
def test_what_cannot_be_watched_is_refused(client: Client, db: None, scope: str, address: str, last: str, status: int) -> None:
    _, secret = build.token(scope)
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/event-stream", "Last-Event-ID": last}
    assert client.get(f"{V1}{address}", headers=headers).status_code == status


def test_there_is_an_end_to_the_places(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 0)
    response = browser.get(f"{V1}events/stream/")
    assert (response.status_code, response["Retry-After"]) == (429, "10")


def heard(look: streams.Look, still: Callable[[], bool] = lambda: True) -> list[bytes]:
    """Everything that a stream tells; it has to end by itself."""

    async def listen() -> list[bytes]:
        return [part async for part in streams.told(look, still)]

    return asyncio.run(asyncio.wait_for(listen(), 60))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK_S", 0.0)
    monkeypatch.setattr(streams, "_hall", streams._Hall())


def test_a_stream_ends_with_its_last_word() -> None:
    left = [(b"two", True), (b"", False), (b"one", False)]
    assert heard(left.pop) == [b"one", b"two"]
    assert streams._hall.listeners == 0


def test_a_stream_ends_when_its_visitor_may_not_look_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.0)
    good = [False, True]
    assert heard(lambda: (b"", False), good.pop) == [b": nothing new\n\n"]


def test_a_stream_ends_when_the_process_is_told_to_stop_and_when_it_has_lasted_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> tuple[bytes, bool]:
        streams.close()
        return b"bye", False

    assert heard(look) == [b"bye"]
    assert heard(look) == []
    monkeypatch.setattr(streams, "_hall", streams._Hall())
    monkeypatch.setattr(streams, "LASTS_S", 0.0)
    assert heard(lambda: (b"", False)) == []


def test_a_database_that_is_away_does_not_end_a_stream() -> None:
    left: list[Any] = [(b"back", True), OperationalError("gone")]

    def look() -> tuple[bytes, bool]:
        one = left.pop()
        if isinstance(one, Exception):
            raise one
        return bytes(one[0]), bool(one[1])

    assert heard(look) == [b": the database does not answer\n\n", b"back"]


def test_a_token_that_is_taken_back_may_not_look_any_more(db: None, rf: Any) -> None:
    row, _ = build.token("read")
    request = rf.get("/")
    request.auth, request.user = row, row.user
    good = apistream._still(request)
    assert good()
    tokens.revoke([row.pk], "test")
    assert not good()
    request.auth = None
    person = apistream._still(request)
    assert person()
    row.user.is_staff = False
    row.user.save()
    assert not person()


def test_events_are_told_once_in_their_order_and_after_the_last_one_that_was_seen(db: None) -> None:
    first, late, last = (build.event(text="two\nlines") for _ in range(3))
    Event.objects.filter(pk=late.pk).delete()
    ear = Ear(Event.objects.all(), first.pk)
    assert ids(ear) == [last.pk]
    Event.objects.create(pk=late.pk, at=clock.now() - timedelta(seconds=1), kind="late", text="late")
    assert ids(ear) == [late.pk]  # it appeared behind a later one
    assert ids(ear) == []
    assert ids(Ear(Event.objects.all(), None)) == []
    assert ids(Ear(Event.objects.filter(kind="late"), 0)) == [late.pk]
    assert len(ear._told) <= LAG


def ids(ear: Ear) -> list[int]:
    """The numbers of what it tells now."""
    part, last = ear()
    found = [int(line[3:]) for line in part.decode().splitlines() if line.startswith("id:")]
    assert not last
    assert found == [said["id"] for _, said in told(part)]
    return found
