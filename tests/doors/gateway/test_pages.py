"""Pages, commands and the API while a process holds seats, and with rows of what its clients asked."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from cluster import hurry
from cluster.models import Generation, Seat
from swwbot_site.gateway import wishes
from swwbot_site.gateway.wishes import Kind
from swwbot_site.lib import clock, leases
from tests import build
from tests.doors import everything

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
ASKED: dict[str, tuple[Kind, dict[str, Any]]] = {
    "an image": (Kind.CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]}),
    "tools": (Kind.CHAT, {"messages": [{"role": "user", "content": "Do it."}, CALL], "tools": [{"type": "function"}], "stop": "x"}),
    "nothing said": (Kind.CHAT, {"messages": [{"role": "user"}]}),
    "very much": (Kind.CHAT, {"messages": [{"role": "user", "content": "word " * 40_000}] * 3}),
    "a completion": (Kind.COMPLETION, {"prompt": "Once"}),
    "embeddings": (Kind.EMBEDDING, {"input": ["one", "two"]}),
}


def document(kind: Kind, body: dict[str, Any]) -> dict[str, object]:
    return wishes.read(kind, json.dumps({"model": "maker/small", **body}).encode()).document()


@pytest.mark.django_db
def test_every_page_shows_held_seats_and_what_clients_asked(browser: Client) -> None:
    placement = build.placement()
    build.offer(server=placement.server, model=placement.model)
    for _ in range(2):
        Seat.objects.create(placement=placement, taken_at=clock.now(), **leases.taken(4001, clock.now()))
    common: dict[str, Any] = {
        "model": placement.model,
        "server": placement.server,
        "placement": placement,
        "home": 4001,
        "caller": "api:one",
    }
    for kind, body in ASKED.values():
        for state in ("queued", "running", "failed", "cancelled", "done"):
            row = build.generation(state=state, request=document(kind, body), **common)
    kinds = ("generation", "status", "placement", "server", "why", "seat", "model", "metrics")
    paths = [path for path in everything.addresses() if any(kind in path for kind in kinds)]
    assert any(str(row.pk) in path for path in paths)
    for path in paths:
        assert everything.seen(browser, path) is not None
    for row in Generation.objects.all():
        for path in (f"/admin/cluster/generation/{row.pk}/change/", f"/api/v1/generations/{row.pk}/"):
            assert browser.get(path).status_code == 200, path
    for command, *words in (("clusterstatus", "--json"), ("clusterstatus",), ("queue", "list", "--json"), ("queue", "list")):
        said = StringIO()
        call_command(command, *words, stdout=said)
        assert placement.model.key in said.getvalue()


@pytest.mark.django_db
def test_what_a_client_asked_can_be_asked_again_by_people_and_a_running_one_not() -> None:
    for kind, body in ASKED.values():
        done = build.generation(state="done", request=document(kind, body), home=4001)
        if kind is not Kind.CHAT:
            with pytest.raises(hurry.NotQueued):
                hurry.again(done.pk, "ann", clock.now())
            continue
        assert hurry.again(done.pk, "ann", clock.now())
        copy = Generation.objects.latest("pk")
        assert (copy.home, copy.request["messages"]) == (None, done.request["messages"])
    running = build.generation(state="running", home=4001)
    with pytest.raises(hurry.NotQueued):
        hurry.again(running.pk, "ann", clock.now())
