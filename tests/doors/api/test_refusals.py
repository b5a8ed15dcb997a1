"""The REST API when it says no: always the same body, always the right number."""

from base64 import b64encode
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from conversations.models import Message
from swwbot_site.lib.apikit import Pages
from tests import build
from tests.doors.api.conftest import LISTS, THINGS

V1 = "/api/v1/"
EVERYTHING = ["", *(f"{name}/" for name in (*LISTS, *THINGS)), "servers/1/", "entities/anybody/limits/"]
EVERYTHING = [*(V1 + address for address in EVERYTHING), "/api/schema/"]


def refusal(response: Any, status: int) -> dict[str, Any]:
    """The one body."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert set(body) - {"fields"} == {"code", "detail"}
    assert body["code"]
    assert body["detail"]
    return body


@pytest.fixture
def person(db: None) -> Client:
    """Somebody who has a login and is not staff."""
    client = Client()
    client.force_login(User.objects.create_user("somebody"))
    return client


@pytest.mark.parametrize("address", EVERYTHING)
def test_strangers_are_refused(client: Client, db: None, address: str) -> None:
    response = client.get(address)
    assert refusal(response, 401)["code"] == "not_authenticated"
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("address", EVERYTHING)
def test_people_who_are_not_staff_are_refused(person: Client, address: str) -> None:
    assert refusal(person.get(address), 403)["code"] == "permission_denied"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("address", ["events/", "messages/1/", "status/", "entities/anybody/limits/"])
def test_what_is_only_looked_at_cannot_be_written(browser: Client, method: str, address: str) -> None:
    assert refusal(getattr(browser, method)(f"{V1}{address}"), 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "address",
    [
        "servers/999999/",
        "servers/99999999999999999999999/",
        "servers/x/",
        "servers/%00/",
        "entities/%00/",
        "entities/nobody/",
        "entities/x/limits/",
    ],
)
def test_what_is_not_there_is_not_found(browser: Client, address: str) -> None:
    assert refusal(browser.get(f"{V1}{address}"), 404)["code"] == "not_found"


@pytest.mark.parametrize("number", ["x", "\u200d", "%00", "9" * 30, "-1", "1.5"])
@pytest.mark.parametrize(
    "deed", ["servers/{}/drain", "generations/{}/cancel", "replies/{}/approve", "deliveries/{}/resend", "limits/{}/reset"]
)
def test_what_is_not_there_cannot_be_dealt_with(browser: Client, deed: str, number: str) -> None:
    response = browser.post(f"{V1}{deed.format(number)}/", "", content_type="application/json")
    assert refusal(response, 404)["code"] == "not_found"


def test_an_address_that_nothing_has_is_refused_in_the_same_words(client: Client) -> None:
    assert refusal(client.get("/api/v2/anything/"), 404)["code"] == "not_found"
    page = client.get("/anything/")
    assert page.status_code == 404
    assert page["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("servers/?state=tired", "state"),
        ("servers/?enabled=maybe", "enabled"),
        ("servers/?sate=online", "sate: no such parameter; there are"),
        ("servers/?ordering=token", "ordering: one of name"),
        ("servers/?ordering=name,id", "ordering: one of name"),
        ("servers/?limit=0", "limit: a number from 1 to 200"),
        ("servers/?limit=201", "limit"),
        ("servers/?limit=%C2%B2", "limit"),
        ("replies/?message=1.5", "message"),
        ("messages/?username=%00", "username"),
        ("events/?after=yesterday", "after"),
        ("events/?level=loud", "level"),
    ],
)
def test_what_is_asked_wrongly_is_refused_by_name(browser: Client, address: str, says: str) -> None:
    body = refusal(browser.get(f"{V1}{address}"), 400)
    assert body["code"] == "invalid"
    assert body["detail"].startswith(says)


@pytest.mark.parametrize("told", [b"p=abc", b"p=%00", b"o=-1", b"o=x", b"r=x", b"\xff"])
@pytest.mark.parametrize("name", ["messages", "servers"])
def test_a_cursor_that_is_of_no_list_is_refused(browser: Client, name: str, told: bytes) -> None:
    build.message()
    response = browser.get(f"{V1}{name}/", {"cursor": b64encode(told).decode()})
    if (name, told) == ("servers", b"p=abc"):
        assert response.status_code == 200  # a name that a server could have
    else:
        refusal(response, 404)


def test_a_number_that_no_row_can_have_finds_nothing(browser: Client) -> None:
    build.reply()
    assert browser.get(f"{V1}replies/", {"message": "9" * 40}).json()["results"] == []
    assert browser.get(f"{V1}messages/", {"after": "9" * 40}).json()["results"] == []


def test_a_failure_of_the_program_is_told_in_the_same_words(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.raise_request_exception = False
    monkeypatch.setattr("conversations.read.feeds", lambda: 1 / 0)
    assert refusal(browser.get(f"{V1}status/"), 500)["code"] == "error"


@pytest.mark.parametrize("order", [[], ["timestamp"], ["timestamp", "id"]])
def test_rows_without_a_total_order_are_no_pages(db: None, order: list[str]) -> None:
    request = Request(APIRequestFactory().get("/"))
    with pytest.raises(ImproperlyConfigured, match="without a total order"):
        Pages().paginate_queryset(Message.objects.order_by(*order), request)
