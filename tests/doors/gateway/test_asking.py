"""Requests of OpenAI's API, answered by the cluster."""

from collections.abc import Callable
from typing import Any

import httpx

from cluster.models import Generation, Seat
from tests.doors.gateway.conftest import CHAT, HELLO, MODEL
from tests.harness import until


def test_a_chat_is_answered_by_the_cluster_and_told_like_every_request(http: httpx.Client, cluster: Callable[..., Any]) -> None:
    cluster()
    said = http.post(CHAT, json=HELLO)
    assert said.status_code == 200, said.text
    body = said.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == MODEL
    assert body["choices"][0]["message"]["content"]
    number = int(said.headers["x-sww-generation"])
    row = until(lambda: Generation.objects.filter(pk=number, state="done").first(), what="the row")
    assert row.text == body["choices"][0]["message"]["content"]
    assert said.headers["x-sww-server"] == row.server.name
    assert row.decision["why"]
    again = http.post(CHAT, json=HELLO)
    assert again.status_code == 200
    number = int(again.headers["x-sww-generation"])
    row = until(lambda: Generation.objects.filter(pk=number, state="done").first(), what="the row")
    assert "held" in row.decision["why"]
    until(lambda: not Seat.objects.exists(), what="an end of the holding")
