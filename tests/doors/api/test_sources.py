"""Feeds through the REST API, and requests brought forward or asked again."""

from typing import Any

import pytest
from django.test import Client

from cluster.models import Generation
from conversations import plug
from conversations.models import Feed
from tests import build

V1 = "/api/v1/"
BODY: dict[str, Any] = {"content_type": "application/json"}


def test_a_feed_is_added_changed_and_switched_by_the_first(browser: Client) -> None:
    made = browser.post(f"{V1}feeds/", {"name": "chat", "url": "http://10.0.0.7/api/comments", "max_text": 200}, **BODY)
    assert made.status_code == 201
    row = Feed.objects.get()
    assert (row.url, row.max_text, row.enabled, made.json()["url"]) == ("http://10.0.0.7/api", 200, True, row.url)
    address = f"{V1}feeds/{row.pk}/"
    Feed.objects.update(detected="do", cursor=17, failures=3)
    assert browser.patch(address, {"max_text": 100, "strategy": "random"}, **BODY).json()["detected"] == "do"
    assert browser.patch(address, {"url": "http://10.0.0.8/api"}, **BODY).status_code == 200
    row.refresh_from_db()
    assert (row.max_text, row.strategy, row.detected, row.cursor, row.failures) == (100, "random", "", 17, 0)
    told = [browser.post(f"{address}{deed}/", **BODY).status_code for deed in ("disable", "disable", "enable", "enable")]
    assert told == [200, 409, 200, 409]
    assert browser.delete(address).status_code == 405


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"url": "http://169.254.169.254/api"}, "url"),
        ({"url": "http://a:b@10.0.0.7/"}, "url"),
        ({"url": "ftp://10.0.0.7/"}, "url"),
        ({"name": ""}, "name"),
        ({"origin": "https://a\r\nX: y"}, "origin"),
        ({"origin": "https://löwe"}, "origin"),
        ({"strategy": "loudest"}, "strategy"),
        ({"bot_decay": 2}, "decay"),
        ({"poll_interval_s": 0}, "poll_interval_s"),
        ({"cursor": 1}, "cursor"),
        ({"worker": "x"}, "worker"),
        ({"lease_owner": 1}, "lease_owner"),
        ({"forgotten": 1}, "forgotten"),
    ],
)
def test_a_feed_that_cannot_be_is_refused_by_field(browser: Client, said: dict[str, Any], field: str) -> None:
    fine = {"name": "chat", "url": "http://10.0.0.7/api"}
    response = browser.post(f"{V1}feeds/", {**fine, **said}, **BODY)
    assert response.status_code == 400
    assert field in str(response.json())
    row = build.feed()
    assert browser.patch(f"{V1}feeds/{row.pk}/", said, **BODY).status_code == 400
    assert Feed.objects.count() == 1


def test_two_feeds_have_two_names_and_two_addresses(browser: Client) -> None:
    row, other = build.feed(), build.feed()
    for said in ({"name": other.name}, {"url": other.url}):
        assert browser.patch(f"{V1}feeds/{row.pk}/", said, **BODY).status_code in (400, 409)
    assert plug.change(row.pk, {"name": row.name}, "test") == ()


def test_a_request_is_brought_forward_and_asked_again(browser: Client) -> None:
    row = build.generation(priority=80)
    address = f"{V1}generations/{row.pk}/"
    assert browser.post(f"{address}raise/", {"priority": 3}, **BODY).json()["priority"] == 3
    assert browser.post(f"{address}raise/", {"priority": 100}, **BODY).status_code == 400
    refused = browser.post(f"{address}again/", **BODY)
    assert (refused.status_code, refused.json()["code"]) == (409, "not-queued")
    done = build.generation(state="done", text="Yes.")
    assert browser.post(f"{V1}generations/{done.pk}/raise/", {"priority": 3}, **BODY).status_code == 409
    copy = browser.post(f"{V1}generations/{done.pk}/again/", **BODY).json()
    assert (copy["state"], copy["caller"]) == ("queued", "again:admin")
    assert Generation.objects.get(pk=copy["id"]).request["messages"] == done.request["messages"]
