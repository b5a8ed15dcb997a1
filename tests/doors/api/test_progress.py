"""What is told as it happens: a request to a model that is watched, and events. Read from rows, ended in time, open to nobody else."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient

from cluster import queue
from swwbot_site import tokens
from swwbot_site.api.happenings import LAG, Ear
from swwbot_site.lib import clock, streams
from swwbot_site.models import Event
from tests import build

V1 = "/api/v1/"


@pytest.fixture
async def closed() -> AsyncIterator[None]:
    """The test's own connection, of a thread that ends with its loop."""
    yield
    await sync_to_async(connection.close)()


pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("closed")]


async def opened(address: str, *scopes: str, **headers: str) -> Any:
    _, secret = await sync_to_async(build.token)(*scopes or ("read",))
    return await AsyncClient().get(
        f"{V1}{address}", headers={"Authorization": f"Bearer {secret}", "Accept": "text/event-stream", **headers}
    )


async def parts(response: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Every event of a stream: its name and what it says."""
    async for part in response.streaming_content:
        for one in part.decode().strip().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in one.split("\n"))
            if "event" in lines:
                yield lines["event"], json.loads(lines["data"])


async def test_a_stream_tells_how_it_stands_until_it_has_ended() -> None:
    row = await sync_to_async(build.generation)(decision={"waits": "no room yet"})
    response = await opened(f"generations/{row.pk}/progress/")
    assert response.status_code == 200
    assert (response["Content-Type"], response["Cache-Control"]) == ("text/event-stream", "no-store")
    told = []
    async for kind, one in parts(response):
        told.append((kind, one["state"], one["waits"], one["error"]))
        if len(told) == 1:
            assert await sync_to_async(queue.cancel)(row.pk, clock.now(), "enough")
    assert told == [("progress", "queued", "no room yet", ""), ("ended", "cancelled", "", "enough")]


async def test_what_cannot_be_watched_is_refused() -> None:
    assert (await opened("generations/1/progress/")).status_code == 404
    assert (await opened("events/stream/", "generate")).status_code == 403
    assert (await opened("events/stream/", **{"Last-Event-ID": "x"})).status_code == 400
    assert (await opened("events/stream/?kinds=reply.")).status_code == 400


async def test_there_is_an_end_to_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 0)
    response = await opened("events/stream/")
    assert (response.status_code, response["Retry-After"]) == (429, "10")


async def test_events_are_told_as_they_happen_and_after_the_last_one_that_was_seen() -> None:
    old = [await sync_to_async(build.event)(kind=kind) for kind in ("reply.posted", "server.added", "reply.posted")]
    response = await opened("events/stream/?kind=reply.posted", **{"Last-Event-ID": str(old[0].pk)})
    heard = []
    async for kind, one in parts(response):
        heard.append(one["id"])
        assert kind == "event"
        if len(heard) == 1:
            heard.append((await sync_to_async(build.event)(kind="reply.posted")).pk)
        else:
            break
    await response.streaming_content.aclose()
    assert heard[0] == old[2].pk
    assert heard[1] == heard[2]


async def test_a_stream_ends_when_its_token_is_taken_back_and_when_the_process_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.0)
    row, secret = await sync_to_async(build.token)("read")
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/event-stream"}
    response: Any = await AsyncClient().get(f"{V1}events/stream/", headers=headers)
    told = []
    async for part in response.streaming_content:
        told.append(part)
        await sync_to_async(tokens.revoke)([row.pk], "test")
    assert told
    monkeypatch.setattr(streams, "_hall", streams._Hall())
    response = await opened("events/stream/")
    async for _ in response.streaming_content:
        streams.close()
    assert streams._hall.listeners == 0


def test_an_event_that_appears_behind_a_later_one_is_told_once(db: None) -> None:
    first, late, last = (build.event() for _ in range(3))
    Event.objects.filter(pk=late.pk).delete()
    ear = Ear(Event.objects.all(), first.pk)
    assert _ids(ear) == [last.pk]
    Event.objects.create(pk=late.pk, at=clock.now() - timedelta(seconds=1), kind="late", text="late")
    assert _ids(ear) == [late.pk]
    assert _ids(ear) == []
    assert _ids(Ear(Event.objects.all(), None)) == []
    assert len(ear._told) <= LAG


def _ids(ear: Ear) -> list[int]:
    return [int(line[3:]) for line in ear()[0].decode().splitlines() if line.startswith("id:")]
