"""A server's token goes nowhere by itself: whoever gives a server another address says the token again."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from cluster.models import Server
from swwbot_site.config.apply import apply
from swwbot_site.lib.addresses import elsewhere
from tests import build

OLD = "http://10.0.0.101:1234"
MOVED = ("http://10.0.0.102:1234", "http://10.0.0.101:1235", "https://10.0.0.101:1234", "http://10.0.0.101.example.org:1234")


@pytest.fixture
def server(db: None) -> Server:
    return build.server(name="Mac", url=OLD, token="sk-secret")


@pytest.fixture
def browser(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


def patch(browser: Client, server: Server, **values: Any) -> Any:
    return browser.patch(f"/api/v1/servers/{server.pk}/", json.dumps(values), content_type="application/json")


def form(browser: Client, server: Server, **values: Any) -> Any:
    """Post the server's form as it is shown, with changes."""
    address = reverse("admin:cluster_server_change", args=[server.pk])
    shown = browser.get(address).context["adminform"].form
    said = {name: shown[name].value() for name in shown.fields}
    rows = {f"{prefix}-{name}": 0 for prefix in ("placement_set", "offers", "placements") for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    for inline in browser.get(address).context["inline_admin_formsets"]:
        prefix = inline.formset.prefix
        rows |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    said = {name: "" if value is None else json.dumps(value) if isinstance(value, list) else value for name, value in said.items()}
    return browser.post(address, {name: value for name, value in (said | rows | values).items() if value is not False})


@pytest.mark.parametrize("url", MOVED)
def test_the_api_refuses_another_address_without_the_token(url: str, browser: Client, server: Server) -> None:
    refused = patch(browser, server, url=url)
    assert refused.status_code == 400, refused.content
    assert "token" in refused.json()["fields"]
    server.refresh_from_db()
    assert (server.url, server.token) == (OLD, "sk-secret")


def test_the_api_takes_another_address_with_a_token_or_without_any(browser: Client, server: Server) -> None:
    assert patch(browser, server, url=f"{OLD}/v1").status_code == 200
    assert patch(browser, server, url=f"{OLD}/lm").status_code == 200, "the same machine"
    assert patch(browser, server, url=MOVED[0], token="sk-other").status_code == 200
    server.refresh_from_db()
    assert (server.url, server.token) == (MOVED[0], "sk-other")
    assert patch(browser, server, url=MOVED[1], token="").status_code == 200
    assert patch(browser, server, url=OLD).status_code == 200, "there is none to send"


@pytest.mark.parametrize("url", MOVED)
def test_the_form_refuses_another_address_without_the_token(url: str, browser: Client, server: Server) -> None:
    said = form(browser, server, url=url)
    assert said.status_code == 200
    assert "token" in said.context["adminform"].form.errors
    assert "sk-secret" not in said.content.decode()
    server.refresh_from_db()
    assert (server.url, server.token) == (OLD, "sk-secret")


def test_the_form_takes_another_address_with_the_token_or_without_any(browser: Client, server: Server) -> None:
    assert form(browser, server, region="north").status_code == 302
    assert form(browser, server, url=MOVED[0], token="sk-other").status_code == 302
    server.refresh_from_db()
    assert (server.url, server.token, server.region) == (MOVED[0], "sk-other", "north")
    assert form(browser, server, url=MOVED[1], forget_token="on").status_code == 302
    server.refresh_from_db()
    assert (server.url, server.token) == (MOVED[1], "")


def test_an_import_that_moves_a_server_forgets_its_token_and_says_so(server: Server) -> None:
    build.server(name="Other", url=MOVED[0], token="sk-of-the-other")

    def said(*servers: dict[str, object]) -> bytes:
        return json.dumps({"lmStudioServers": [{"capabilities": {"maxMemory": 60}, "enabled": True} | one for one in servers]}).encode()

    same = apply(said({"name": "Mac", "url": OLD}), "one")
    assert Server.objects.get(name="Mac").token == "sk-secret"
    assert not any("token" in change.fields for change in same.changes)
    swapped = apply(said({"name": "Mac", "url": MOVED[0]}, {"name": "Other", "url": OLD, "token": "sk-new"}), "one")
    assert Server.objects.get(name="Mac").token == ""
    assert Server.objects.get(name="Other").token == "sk-new"
    assert "token" in next(change for change in swapped.changes if change.name == "Mac").fields


@pytest.mark.parametrize(
    ("old", "new", "other"),
    [
        ("http://a", "http://A/", False),
        ("http://a", "http://a:80", False),
        ("https://a:443/x", "https://a/y", False),
        ("http://a", "https://a", True),
        ("http://a:1", "http://a:2", True),
        ("http://a", "http://a.", False),
        ("http://[::1]:1", "http://[::2]:1", True),
        ("http://a", "http://a:99999999", True),
        ("http://a", "http://[", True),
        ("http://a", "http://b@a", True),
        ("http://a", "http://a\\@b", True),
    ],
)
def test_who_is_meant_by_an_address(old: str, new: str, *, other: bool) -> None:
    assert elsewhere(old, new) is other
