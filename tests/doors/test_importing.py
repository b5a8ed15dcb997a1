"""The admin's form that reads a configuration file in: it shows first, asks, and does all of it or nothing."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cluster.models import Server
from entities.models import Entity
from swwbot_site.models import ConfigImport
from tests.doors import evil

pytestmark = pytest.mark.django_db

ADD = "/admin/swwbot_site/configimport/add/"
GOOD = {
    "lmStudioServers": [{"name": "Attic", "ip": "10.0.0.7", "port": 1234, "token": "s3cret", "capabilities": {"maxMemory": 96}}],
    "entities": [{"id": "sage", "username": "Sage", "model": "maker/small", "systemPrompt": "You are Sage.", "responseChance": 0.5}],
}


def test_it_shows_what_would_change_and_changes_nothing_until_somebody_is_sure(browser: Client) -> None:
    file = SimpleUploadedFile("config-aientities.json", b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    shown = browser.post(ADD, {"file": file}).content.decode()
    assert "1 server added" in shown
    assert "Attic" in shown
    assert not Server.objects.exists()
    assert not Entity.objects.exists()
    assert not ConfigImport.objects.exists()
    told = browser.post(ADD, {"text": json.dumps(GOOD), "source": "config-aientities.json", "sure": "yes"}, follow=True)
    said = re.sub(r"\s+", " ", told.content.decode())
    assert "config-aientities.json is imported: 1 entity added, 1 server added" in said, said[said.find("is imported") - 100 :][:300]
    assert Server.objects.get().name == "Attic"
    assert Entity.objects.get().slug == "sage"
    assert ConfigImport.objects.get().source == "config-aientities.json"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Choose a file, or put its text into the field."),
        ({"text": "{"}, "It cannot be imported, and nothing has changed"),
        ({"text": json.dumps({"entities": [{"id": "x", "responseChance": "often"}]})}, "$.entities[0].responseChance"),
        ({"text": "[" * 50_000}, "It cannot be imported, and nothing has changed"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_imported_even_by_somebody_who_is_sure(
    browser: Client, given: dict[str, Any], words: str
) -> None:
    for sure in ({}, {"sure": "yes"}):
        answer = browser.post(ADD, given | sure)
        page = answer.content.decode()
        assert answer.status_code == 200
        assert words in page
        assert not evil.read(page).wrong
    assert not Entity.objects.exists()
    assert not ConfigImport.objects.exists()


def test_hostile_names_are_shown_as_text(browser: Client) -> None:
    text = json.dumps(
        {"version": evil.MESSAGES[0], "entities": [{"id": one, "username": one, evil.MESSAGES[4]: one} for one in evil.MESSAGES[:8]]}
    )
    answer = browser.post(ADD, {"text": text, "source": evil.MESSAGES[0]})
    assert answer.status_code == 200
    assert not evil.read(answer.content.decode()).wrong


def test_a_file_that_is_no_text_is_refused(browser: Client) -> None:
    for content in (b"\xff\xfe{\x00}\x00", b"\x00\x01\x02", json.dumps(GOOD).encode("utf-16")):
        page = browser.post(ADD, {"file": SimpleUploadedFile("x.json", content)})
        assert page.status_code == 200
        assert "nothing has changed" in page.content.decode()


def test_whoever_may_not_change_everything_may_not_import() -> None:
    user = User.objects.create_user("visitor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_configimport", "add_server", "change_server"]))
    client = Client()
    client.force_login(user)
    assert client.get("/admin/swwbot_site/configimport/").status_code == 200
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, {"text": json.dumps(GOOD), "sure": "yes"}).status_code == 403
    assert not Server.objects.exists()
