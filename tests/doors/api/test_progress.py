"""A request to a model, watched: server-sent events from the row, until it has ended."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from cluster import queue
from swwbot_site.lib import clock
from tests import build

V1 = "/api/v1/"


@pytest.mark.django_db(transaction=True)
async def test_a_stream_tells_how_it_stands_until_it_has_ended() -> None:
    row, (_, secret) = await sync_to_async(build.generation)(decision={"waits": "no room yet"}), await sync_to_async(build.token)("read")
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/event-stream"}
    response: Any = await AsyncClient().get(f"{V1}generations/{row.pk}/progress/", headers=headers)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    told: list[tuple[str, dict[str, Any]]] = []
    async for part in response.streaming_content:
        kind, _, data = part.decode().partition("\ndata: ")
        told.append((kind.removeprefix("event: "), json.loads(data)))
        if len(told) == 1:
            assert await sync_to_async(queue.cancel)(row.pk, clock.now(), "enough")
    assert [(kind, one["state"], one["waits"]) for kind, one in told] == [("progress", "queued", "no room yet"), ("ended", "cancelled", "")]
    assert told[-1][1]["error"] == "enough"


@pytest.mark.django_db(transaction=True)
async def test_what_cannot_be_watched_is_refused() -> None:
    _, secret = await sync_to_async(build.token)("read")
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/event-stream"}
    response = await AsyncClient().get(f"{V1}generations/1/progress/", headers=headers)
    assert response.status_code == 404
