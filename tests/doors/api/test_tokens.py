"""Tokens: shown once, kept as a hash, good for what they are made for, as long as they are."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from swwbot_site import tokens
from swwbot_site.lib import clock
from swwbot_site.lib.events import Happening
from swwbot_site.models import Token
from tests import build

V1 = "/api/v1/"
ALL = tuple(Token.Scope.values)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture(autouse=True)
def _forget() -> None:
    """The throttle counts in the cache, beside the database."""
    cache.clear()


def test_a_secret_is_kept_nowhere(db: None, heard: list[Happening]) -> None:
    row, secret = build.token()
    kept = json.dumps([str(getattr(row, field.name)) for field in Token._meta.concrete_fields if field.name != "user"])
    assert secret not in kept
    assert secret[12:] not in kept
    assert secret not in str(heard)


def test_a_token_speaks_for_its_person(client: Client, db: None) -> None:
    row, secret = build.token("read")
    assert client.get(f"{V1}servers/", headers=bearer(secret)).status_code == 200
    assert client.get(f"{V1}servers/", headers={"Authorization": f"bearer {secret}"}).status_code == 200
    row.user.is_active = False
    row.user.save()
    assert client.get(f"{V1}servers/", headers=bearer(secret)).status_code == 401


@pytest.mark.parametrize("wrong", ["", "sww_", "sww_aaaaaaaa", "x" * 5000, "sww_\xff", "Bearer", "sww_aaaaaaaa" + "b" * 43])
def test_what_is_no_token_opens_nothing(client: Client, db: None, wrong: str) -> None:
    build.token()
    response = client.get(f"{V1}servers/", headers=bearer(wrong))
    assert (response.status_code, response.json()["code"]) == (401, "authentication_failed")


def test_the_prefix_of_another_token_opens_nothing(client: Client, db: None) -> None:
    (_, first), (_, second) = build.token(), build.token()
    assert client.get(f"{V1}servers/", headers=bearer(first[:12] + second[12:])).status_code == 401


def test_an_expired_or_revoked_token_opens_nothing(client: Client, db: None) -> None:
    row, secret = build.token(lasts=timedelta(days=1))
    assert client.get(f"{V1}servers/", headers=bearer(secret)).status_code == 200
    Token.objects.filter(pk=row.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    assert client.get(f"{V1}servers/", headers=bearer(secret)).status_code == 401
    row, secret = build.token()
    assert tokens.revoke([row.pk], "Ann") == 1
    assert tokens.revoke([row.pk], "Ann") == 0
    assert client.get(f"{V1}servers/", headers=bearer(secret)).status_code == 401


def test_its_use_is_noted_at_most_once_a_minute(client: Client, db: None) -> None:
    row, secret = build.token()
    client.get(f"{V1}servers/", headers=bearer(secret))
    first = Token.objects.get(pk=row.pk).used_at
    client.get(f"{V1}servers/", headers=bearer(secret))
    assert Token.objects.get(pk=row.pk).used_at == first
    Token.objects.filter(pk=row.pk).update(used_at=clock.now() - timedelta(minutes=2))
    client.get(f"{V1}servers/", headers=bearer(secret))
    assert Token.objects.get(pk=row.pk).used_at > first


DEEDS: list[tuple[str, str, str]] = [
    ("read", "get", "servers/"),
    ("read", "get", "events/"),
    ("operate", "post", "posting/stop/"),
    ("operate", "post", "servers/1/drain/"),
    ("operate", "post", "placements/"),
    ("operate", "post", "replies/1/approve/"),
    ("operate", "post", "entities/x/enable/"),
    ("operate", "post", "limits/reset/"),
    ("operate", "post", "ensembles/"),
    ("generate", "post", "generations/"),
    ("administer", "post", "servers/"),
    ("administer", "patch", "policy/"),
    ("administer", "patch", "conversation-policy/"),
    ("administer", "patch", "retention/"),
    ("administer", "delete", "entities/x/"),
    ("administer", "post", "entities/x/rollback/"),
    ("administer", "post", "configuration/"),
    ("administer", "get", "webhooks/"),
    ("administer", "get", "deliveries/"),
]


@pytest.mark.parametrize(("scope", "method", "address"), DEEDS)
def test_a_scope_that_is_missing_is_named(client: Client, db: None, scope: str, method: str, address: str) -> None:
    _, secret = build.token(*(one for one in ALL if one != scope))
    response = getattr(client, method)(f"{V1}{address}", headers=bearer(secret))
    assert response.status_code == 403
    assert response.json()["code"] == "missing_scope"
    assert f"lacks the scope {scope}" in response.json()["detail"]
    _, right = build.token(scope)
    assert getattr(client, method)(f"{V1}{address}", headers=bearer(right)).status_code != 403


def test_a_token_may_no_more_than_its_person(client: Client, db: None) -> None:
    person = User.objects.create_user("operator")
    _, secret = build.token(user=person)
    server = build.server()
    response = client.post(f"{V1}servers/{server.pk}/drain/", headers=bearer(secret))
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert "cluster.operate_server" in response.json()["detail"]
    person.user_permissions.add(Permission.objects.get(codename="operate_server"))
    assert client.post(f"{V1}servers/{server.pk}/drain/", headers=bearer(secret)).status_code == 200


def member(group: str) -> Client:
    """The browser of somebody of a group."""
    person = User.objects.create_user(group, is_staff=True)
    person.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(person)
    return client


def test_people_may_what_their_group_may(db: None) -> None:
    server = build.server()
    looking, working, ruling = member("viewer"), member("operator"), member("administrator")
    for client in (looking, working, ruling):
        assert client.get(f"{V1}servers/").status_code == 200
    assert [client.post(f"{V1}servers/{server.pk}/probe/").status_code for client in (looking, working, ruling)] == [403, 200, 200]
    said: dict[str, Any] = {"data": {"budget_gb": 64}, "content_type": "application/json"}
    assert [client.patch(f"{V1}servers/{server.pk}/", **said).status_code for client in (looking, working, ruling)] == [403, 403, 200]
    assert [client.get(f"{V1}webhooks/").status_code for client in (looking, working, ruling)] == [403, 403, 200]


def test_a_person_who_is_logged_in_needs_the_form_key(staff: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    response = client.post(f"{V1}posting/stop/", content_type="application/json")
    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]
    _, secret = build.token()
    assert client.post(f"{V1}posting/stop/", content_type="application/json", headers=bearer(secret)).status_code == 200


def test_a_token_that_asks_too_often_is_told_when_to_come_again(client: Client, db: None) -> None:
    _, secret = build.token(per_minute=3)
    _, other = build.token(per_minute=3)
    said = [client.get(f"{V1}servers/", headers=bearer(secret)) for _ in range(4)]
    assert [one.status_code for one in said] == [200, 200, 200, 429]
    assert said[-1].json()["code"] == "throttled"
    assert 0 < int(said[-1]["Retry-After"]) <= 60
    assert client.get(f"{V1}servers/", headers=bearer(other)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 101},
        {"scopes": []},
        {"scopes": ["rule"]},
        {"lasts": timedelta()},
        {"priority": 100},
        {"per_minute": 0},
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(staff: User, wrong: dict[str, Any]) -> None:
    name, scopes = wrong.pop("name", "one"), wrong.pop("scopes", ["read"])
    with pytest.raises(tokens.Refused):
        tokens.make(name, staff, scopes, who="test", **wrong)
    assert not Token.objects.exists()


def test_the_command_makes_lists_and_revokes(staff: User) -> None:
    told = StringIO()
    call_command("token", "make", "grafana", "--user", "admin", "--scope", "read", "--days", "30", "--json", stdout=told)
    made = json.loads(told.getvalue())
    row = Token.objects.get()
    assert tokens.find(made["secret"], clock.now()) == row
    assert (row.scopes, row.user) == (["read"], staff)
    told = StringIO()
    call_command("token", "list", stdout=told)
    assert "grafana" in told.getvalue()
    assert made["secret"] not in told.getvalue()
    call_command("token", "revoke", "grafana", stdout=StringIO())
    assert tokens.find(made["secret"], clock.now()) is None
    with pytest.raises(CommandError, match="no token"):
        call_command("token", "revoke", "nothing", stdout=StringIO())
    with pytest.raises(CommandError, match="no user"):
        call_command("token", "make", "x", "--user", "nobody", "--scope", "read", stdout=StringIO())


# --- the admin ---------------------------------------------------------------------------------------------------
TOKENS = "/admin/swwbot_site/token/"


def test_the_admin_shows_a_secret_in_the_answer_and_nowhere_else(browser: Client, staff: User) -> None:
    said = {"name": "grafana", "user": staff.pk, "scopes": ["read"], "priority": 50, "per_minute": 600, "models": "", "days": ""}
    page = browser.post(f"{TOKENS}add/", said)
    secret = page.content.decode().partition("<code>")[2].partition("</code>")[0]
    row = Token.objects.get()
    assert tokens.find(secret, clock.now()) == row
    assert "no-store" in page["Cache-Control"]
    for address in (TOKENS, f"{TOKENS}{row.pk}/change/", f"{TOKENS}add/"):
        assert secret not in browser.get(address).content.decode()
    assert "There is a token" in browser.post(f"{TOKENS}add/", said).content.decode()
    browser.post(TOKENS, {"action": "revoke", "_selected_action": [row.pk]})
    assert tokens.find(secret, clock.now()) is None


def test_a_viewer_sees_no_tokens_and_makes_none(db: None) -> None:
    for name in ("viewer", "operator"):
        client = member(name)
        assert client.get(TOKENS).status_code == 403
        assert client.post(f"{TOKENS}add/", {"name": "x"}).status_code == 403
    assert not Token.objects.exists()
