"""Requests with an Idempotency-Key: done once, answered the same, never mixed up."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from conversations import stop
from entities.models import Entity
from swwbot_site.lib import clock
from swwbot_site.lib.hooks import hookimpl, manager
from swwbot_site.models import Repeat
from tests import build

V1 = "/api/v1/"
SAGE = {"slug": "sage", "username": "Sage", "color": "rgb(1, 2, 3)", "system_prompt": "Be wise."}


def post(client: Client, address: str, said: Any, key: str, **headers: str) -> Any:
    return client.post(f"{V1}{address}", said, content_type="application/json", headers={"Idempotency-Key": key, **headers})


def test_the_same_key_and_body_get_the_same_answer_and_nothing_is_done_twice(browser: Client) -> None:
    first, second = post(browser, "entities/", SAGE, "k"), post(browser, "entities/", dict(reversed(SAGE.items())), "k")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Entity.objects.count() == 1
    again = post(browser, "entities/sage/disable/", {}, "k2"), post(browser, "entities/sage/disable/", {}, "k2")
    assert [one.status_code for one in again] == [200, 200]


def test_the_same_key_with_another_request_is_refused(browser: Client) -> None:
    post(browser, "entities/", SAGE, "k")
    for address, said in [("entities/", {**SAGE, "username": "Other"}), ("servers/", SAGE), ("entities/sage/enable/", {})]:
        response = post(browser, address, said, "k")
        assert (response.status_code, response.json()["code"]) == (422, "idempotency_clash")
    assert Entity.objects.count() == 1


def test_what_was_refused_may_be_tried_again_with_its_key(browser: Client) -> None:
    assert post(browser, "entities/", {**SAGE, "username": ""}, "k").status_code == 400
    assert not Repeat.objects.exists()
    assert post(browser, "entities/", SAGE, "k").status_code == 201


def test_two_owners_may_use_one_key(browser: Client, client: Client) -> None:
    _, secret = build.token()
    assert post(browser, "entities/", SAGE, "k").status_code == 201
    response = post(client, "entities/", {**SAGE, "slug": "other"}, "k", Authorization=f"Bearer {secret}")
    assert response.status_code == 201
    assert Repeat.objects.count() == 2


@pytest.mark.parametrize("key", ["", "x" * 201, "Löwe", "a\x7f"])
def test_a_key_that_is_none_is_refused(browser: Client, key: str) -> None:
    response = post(browser, "entities/", SAGE, key)
    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert not Entity.objects.exists()


def test_a_key_is_kept_for_a_day(browser: Client) -> None:
    post(browser, "posting/stop/", {}, "k")
    Repeat.objects.update(created_at=clock.now() - timedelta(hours=24, seconds=1))
    assert post(browser, "posting/stop/", {}, "k").status_code == 409
    assert post(browser, "posting/resume/", {}, "k").status_code == 200
    assert Repeat.objects.count() == 1


def test_a_key_needs_a_right_first(client: Client, db: None) -> None:
    assert post(client, "entities/", SAGE, "k").status_code == 401
    assert not Repeat.objects.exists()


class Slow:
    """Holds whoever stops posting, in the middle of it."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Event(), threading.Event()

    @hookimpl
    def on_step(self, step: str) -> None:
        if step == "stop.inside":
            self.inside.set()
            self.go.wait(60)


@pytest.fixture
def slow() -> Iterator[Slow]:
    one = Slow()
    manager.register(one)
    yield one
    manager.unregister(one)


@pytest.mark.django_db(transaction=True)
def test_while_it_is_being_done_the_same_key_is_told_so(slow: Slow) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    said: list[int] = []

    def first() -> None:
        try:
            said.append(post(client, "posting/stop/", {}, "k").status_code)
        finally:
            connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert slow.inside.wait(60)
        response = post(client, "posting/stop/", {}, "k")
        assert (response.status_code, response.json()["code"]) == (409, "idempotency_underway")
    finally:
        slow.go.set()
        thread.join(60)
    assert said == [200]
    assert post(client, "posting/stop/", {}, "k")["Idempotency-Replayed"] == "true"
    assert stop.resume("test")
