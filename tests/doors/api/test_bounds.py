"""What must never be had through the REST API: more than one's scopes and permissions, other people's requests, secrets, the whole memory."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from cluster.models import Generation
from conversations.models import Feed
from swwbot_site import rights, tokens
from swwbot_site.lib import clock, http, payload, repeats
from swwbot_site.lib.events import Happening
from swwbot_site.models import Repeat, Token, Webhook
from tests import build

V1 = "/api/v1/"
BODY: dict[str, Any] = {"content_type": "application/json"}


@pytest.fixture(autouse=True)
def _anew(db: None) -> Iterator[None]:
    """The throttle counts in the cache."""
    cache.clear()
    yield
    cache.clear()


def person(*groups: str, name: str = "somebody") -> User:
    if groups and not Group.objects.filter(name__in=groups).exists():
        rights.settle()  # a test that empties every table takes the groups with it
    user = User.objects.create_user(name, is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture(scope="module")
def operations() -> list[tuple[str, str]]:
    """Every method and address there is, of a row that is not there."""
    make: Any = SchemaGenerator
    paths = make().get_schema(request=None, public=True)["paths"]
    filled = {path: path.replace("{id}", "999999").replace("{slug}", "nobody").replace("{version}", "1") for path in paths}
    return [(method, filled[path].removeprefix(V1)) for path, found in paths.items() for method in found]


OWN = {("get", "generations/"), ("get", "generations/999999/"), ("get", "generations/999999/progress/"), ("post", "generations/")}
OWN |= {("post", "generations/999999/cancel/")}
KEYS = ("tokens/", "webhooks/", "deliveries/")
OPERATED = {
    *("enable", "disable", "drain", "undrain", "probe"),
    *("unload", "pin", "unpin", "keep", "release", "cancel", "raise", "again"),
    *("approve", "edit", "reject", "requeue", "stop", "resume", "reset"),
}


def may(operations: list[tuple[str, str]], user: User, *scopes: str) -> set[tuple[str, str]]:
    """What a token of this person is not refused."""
    row, secret = build.token(*scopes, user=user)
    Token.objects.filter(pk=row.pk).update(per_minute=1_000_000)
    found = set()
    for method, address in operations:
        response = getattr(Client(), method)(f"{V1}{address}", headers=bearer(secret), **({} if method == "get" else BODY))
        assert response.status_code in (200, 201, 202, 204, 400, 403, 404, 409), (method, address, response.content)
        if response.status_code != 403:
            found.add((method, address))
    return found


def test_who_may_nothing_has_his_own_requests_alone_whatever_his_token_is_good_for(operations: list[tuple[str, str]]) -> None:
    assert may(operations, person()) == OWN


def test_a_viewers_token_changes_nothing_and_sees_no_keys(operations: list[tuple[str, str]]) -> None:
    found = may(operations, person("viewer"))
    assert {address for method, address in found if method != "get"} == {address for method, address in OWN if method != "get"}
    assert {one for one in operations if one[0] == "get" and not one[1].startswith(KEYS)} <= found
    assert not any(address.startswith(KEYS) for _, address in found)


def test_an_operators_token_does_what_operators_do_and_nothing_else(operations: list[tuple[str, str]]) -> None:
    found = {(method, address) for method, address in may(operations, person("operator")) if method != "get"}
    made = {("post", "placements/"), ("post", "ensembles/"), ("post", "generations/")}
    assert made <= found
    assert {method for method, _ in found} == {"post"}
    assert {address.rstrip("/").rpartition("/")[2] for _, address in found - made} == OPERATED
    assert not any(address.startswith((*KEYS, "feeds/")) for _, address in found)


def test_a_token_that_may_read_shows_no_requests_that_its_person_may_not_see(client: Client) -> None:
    mine, other = person(), build.generation(caller="entity:sage")
    row, secret = build.token("read", "generate", "operate", user=mine)
    own = build.generation(caller=f"api:{row.name}")
    for address in ("", "progress/"):
        assert client.get(f"{V1}generations/{other.pk}/{address}", headers=bearer(secret)).status_code == 404
    assert [one["id"] for one in client.get(f"{V1}generations/", headers=bearer(secret)).json()["results"]] == [own.pk]
    assert client.post(f"{V1}generations/{other.pk}/cancel/", headers=bearer(secret)).status_code == 404
    other.refresh_from_db()
    assert other.state == "queued"
    mine.user_permissions.set(Permission.objects.filter(codename__in=["view_generation", "change_generation"]))
    assert len(client.get(f"{V1}generations/", headers=bearer(secret)).json()["results"]) == 2
    assert client.post(f"{V1}generations/{other.pk}/cancel/", headers=bearer(secret)).status_code == 200


def test_two_tokens_of_long_names_are_never_one_caller(client: Client) -> None:
    with pytest.raises(tokens.Refused, match="1 to 96"):
        tokens.make("x" * 97, person(), ["generate"], who="test")
    longest = Generation._meta.get_field("caller").max_length
    assert longest is not None
    assert len("api:") + tokens.LONGEST <= longest


@pytest.mark.parametrize("codename", ["change_entity", "change_server", "change_feed"])
def test_who_may_change_one_kind_of_rows_imports_no_configuration(client: Client, codename: str) -> None:
    user = person()
    user.user_permissions.set(Permission.objects.filter(codename=codename))
    _, secret = build.token(user=user)
    response = client.post(f"{V1}configuration/", b"{}", headers=bearer(secret), **BODY)
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert client.get(f"{V1}configuration/", headers=bearer(secret)).status_code == 403


# --- tokens that are made by tokens ------------------------------------------------------------------------------
def test_a_token_is_made_listed_and_taken_back(browser: Client, heard: list[Happening], django_capture_on_commit_callbacks: Any) -> None:
    said = {"name": "grafana", "scopes": ["read"], "days": 1, "models": ["gemma"], "per_minute": 60}
    with django_capture_on_commit_callbacks(execute=True):
        made = browser.post(f"{V1}tokens/", said, **BODY)
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    row, secret = made.json(), made.json()["secret"]
    assert (row["user"], row["state"], row["models"], row["scopes"]) == ("admin", "good", ["gemma"], ["read"])
    assert Client().get(f"{V1}servers/", headers=bearer(secret)).status_code == 200
    for address in ("tokens/", f"tokens/{row['id']}/"):
        shown = browser.get(f"{V1}{address}").content.decode()
        assert secret not in shown
        assert Token.objects.get().digest not in shown
    assert browser.post(f"{V1}tokens/{row['id']}/revoke/", **BODY).json()["state"] == "revoked"
    assert browser.post(f"{V1}tokens/{row['id']}/revoke/", **BODY).status_code == 409
    assert Client().get(f"{V1}servers/", headers=bearer(secret)).status_code == 401
    assert "made the token grafana" in str(heard)
    assert secret[12:] not in str(heard)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"scopes": ["generate"]}, "lacks the scope generate"),
        ({"priority": 39}, "priority is 40"),
        ({"models": []}, "may ask Gemma"),
        ({"models": ["gemma", "other"]}, "may ask Gemma"),
        ({"days": None}, "it expires at"),
        ({"days": 3}, "it expires at"),
        ({"user": "root"}, "may more than you"),
    ],
)
def test_a_token_makes_none_that_may_more_or_lasts_longer(client: Client, said: dict[str, Any], why: str) -> None:
    User.objects.create_superuser("root")
    user = person("administrator")
    _, secret = build.token("read", "administer", user=user, priority=40, models=["Gemma"], lasts=timedelta(days=2))
    fine = {"name": "child", "scopes": ["read"], "priority": 40, "models": ["gemma"], "days": 1}
    response = client.post(f"{V1}tokens/", {**fine, **said}, headers=bearer(secret), **BODY)
    assert (response.status_code, response.json()["code"]) == (400, "token-refused")
    assert why in response.json()["detail"]
    assert client.post(f"{V1}tokens/", fine, headers=bearer(secret), **BODY).status_code == 201


def test_nobody_makes_a_token_for_somebody_who_may_more() -> None:
    root, small, helper = User.objects.create_superuser("root"), person("viewer"), person("administrator", name="helper")
    with pytest.raises(tokens.Refused, match="root may more than you"):
        tokens.make("a", root, ["administer"], who="helper", by=helper)
    assert tokens.make("b", small, ["administer"], who="helper", by=helper)
    assert tokens.make("c", small, ["administer"], who="root", by=root)


# --- secrets -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tokens/", {"name": "grafana", "scopes": ["read"]}),
        ("webhooks/", {"name": "pager", "url": "http://10.0.0.7/hook"}),
        ("webhooks/1/renew/", {}),
    ],
)
def test_a_secret_is_kept_under_no_key(browser: Client, address: str, said: dict[str, Any]) -> None:
    address = address.replace("1", str(build.webhook().pk))
    headers = {"Idempotency-Key": "k"}
    first = browser.post(f"{V1}{address}", said, headers=headers, **BODY)
    assert first.status_code in (200, 201)
    assert first.json()["secret"] not in json.dumps(list(Repeat.objects.values_list("body", flat=True)))
    count = Token.objects.count(), Webhook.objects.count(), [row.secret for row in Webhook.objects.all()]
    again = browser.post(f"{V1}{address}", said, headers=headers, **BODY)
    assert (again.status_code, again.json()) == (409, repeats.TOLD)
    assert count == (Token.objects.count(), Webhook.objects.count(), [row.secret for row in Webhook.objects.all()])


def test_events_name_the_host_of_a_webhook_alone(browser: Client, heard: list[Happening], django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        browser.post(f"{V1}webhooks/", {"name": "pager", "url": "http://10.0.0.7/T0/s3cr3t?key=s3cr3t"}, **BODY)
    assert "10.0.0.7" in str(heard)
    assert "s3cr3t" not in str(heard)


async def test_an_error_of_a_webhook_names_its_host_alone() -> None:
    async with http.client() as client:
        with pytest.raises(http.NotTaken) as error:
            await http.deliver(client, "http://127.0.0.1:1/s3cr3t", b"{}", {}, timeout_s=5)
    assert "127.0.0.1" in str(error.value)
    assert "s3cr3t" not in str(error.value)


async def test_a_receiver_that_drips_is_given_up() -> None:
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        said = b"-"
        while said:
            writer.write(b"x")
            try:
                said = await asyncio.wait_for(reader.read(100), 0.02)
            except TimeoutError:
                continue
        writer.close()
        gone.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, http.client() as client:
        with pytest.raises(http.NotTaken, match="to the end"):
            await http.deliver(client, url, b"{}", {}, timeout_s=1.0)
        await gone.wait()


# --- what it costs -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("address", ["entities/", "configuration/?dry_run=true"])
def test_a_body_of_countless_values_is_not_read(browser: Client, address: str) -> None:
    body = b'{"extra": [' + b"[]," * payload.MOST + b"1]}"
    response = browser.post(f"{V1}{address}", body, **BODY)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_a_row_that_goes_while_it_is_dealt_with_is_not_found(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise Feed.DoesNotExist

    row = build.feed()
    monkeypatch.setattr("conversations.plug.change", gone)
    response = browser.patch(f"{V1}feeds/{row.pk}/", {"max_text": 100}, **BODY)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_host_that_is_not_ours_is_refused_in_the_same_words(client: Client) -> None:
    response = client.get(f"{V1}servers/", headers={"Host": "evil.example"})
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    page = client.get("/admin/", headers={"Host": "evil.example"})
    assert page.status_code == 400
    assert page["Content-Type"].startswith("text/html")


def test_nothing_of_the_api_is_kept_on_the_way(browser: Client) -> None:
    for address in ("servers/", "status/", "servers/1/"):
        assert browser.get(f"{V1}{address}")["Cache-Control"] == "no-store", address


def test_a_login_goes_nowhere_else(staff: User) -> None:
    for there in ("//evil.example/", "https://evil.example/", "/\\evil.example"):
        said = {"username": "admin", "password": "correct horse", "next": there}
        response = Client().post("/admin/login/", said)
        assert (response.status_code, response["Location"]) == (302, "/admin/")


def test_a_token_that_expires_is_as_good_as_none_at_that_moment(client: Client) -> None:
    row, secret = build.token("read")
    Token.objects.filter(pk=row.pk).update(expires_at=clock.now())
    assert client.get(f"{V1}servers/", headers=bearer(secret)).status_code == 401
