"""Scenarios at the doors: the command, the admin's pages, and the entity that may not be changed without them."""

import json
import re
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from conversations.models import Scenario
from entities.models import Entity
from swwbot_site.config.apply import apply
from swwbot_site.config.problems import DocumentError
from swwbot_site.management.commands.scenario import Command
from tests import build
from tests.architecture.source import ROOT
from tests.doors.test_admin import changes, url

pytestmark = pytest.mark.django_db

PAGE = ROOT / "docs" / "scenarios.md"
SILENT = {"setting": {"dice": "low"}, "messages": [{"text": "Nice weather.", "expect": "silent"}]}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("scenario", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def owl() -> Entity:
    """An owl that only speaks when it is called."""
    return build.entity(slug="owl", username="Owl", response_chance=0.0)


# --- the command -------------------------------------------------------------------------------------------------
def test_all_are_played_and_the_result_is_kept(owl: Entity) -> None:
    one, two = build.scenario(entity=owl, name="called"), build.scenario(entity=owl, name="silent", document=SILENT)
    assert "2 scenarios passed." in run()
    Entity.objects.filter(pk=owl.pk).update(response_chance=1.0)
    with pytest.raises(CommandError, match="1 of 2 scenarios failed"):
        run("run", "--entity", "owl")
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.passed, two.passed) == (True, False)
    assert two.ran_at is not None
    assert two.result["messages"][0]["problems"] == [
        "must be silent, but answers: chance 1, silence ×1.5 (the chance was 1.000, the dice 0.000)"
    ]
    assert "1 scenarios passed." in run("--name", "called")
    with pytest.raises(CommandError, match="There is no scenario of the entity 'crow'"):
        run("--entity", "crow")


def test_a_file_is_played_kept_and_written_again(owl: Entity, tmp_path: Path) -> None:
    path = tmp_path / "owl.json"
    path.write_text(
        json.dumps([{"entity": "owl", "name": "silent", **SILENT}, {"entity": "owl", "name": "other", "required": True, **SILENT}])
    )
    told = StringIO()
    call_command("scenario", "--file", str(path), "--json", stdout=told)
    assert [one["passed"] for one in json.loads(told.getvalue())] == [True, True]
    assert not Scenario.objects.exists()
    assert run("add", str(path)).split("\n")[:2] == ["kept owl: silent", "kept owl: other"]
    assert list(Scenario.objects.values_list("name", "required")) == [("other", True), ("silent", False)]
    run("require", "--entity", "owl", "--name", "silent")
    exported = json.loads(run("export"))
    assert [(one["name"], one["required"], one["messages"]) for one in exported] == [
        ("other", True, SILENT["messages"]),
        ("silent", True, SILENT["messages"]),
    ]
    path.write_text(json.dumps(exported))
    run("optional", "--entity", "owl", "--name", "silent")
    run("add", str(path))
    assert Scenario.objects.get(name="silent").required


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON"),
        ("7", "holds one object, or a list of objects"),
        ("{}", "$.entity is absent"),
        ('{"entity": "owl", "name": "x"}', "$.messages is absent"),
        ('{"entity": "crow", "name": "x", "messages": [{"text": "Hi."}]}', "there is no entity 'crow'"),
        ('{"entity": "owl", "name": "x", "messages": [{"text": "Hi.", "expect": {"chance": 2}}]}', "$.messages[0].expect.chance must be"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_paths(owl: Entity, text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    for arguments in (["add", str(path)], ["--file", str(path)]):
        with pytest.raises(CommandError, match=re.escape(why)):
            run(*arguments)
    assert not Scenario.objects.exists()


def test_the_page_of_the_command_tells_the_truth(owl: Entity, tmp_path: Path) -> None:
    """Its examples can be called, its options are all there are, and its scenario passes."""
    text = PAGE.read_text()
    parser = Command().create_parser("manage.py", "scenario")
    for example in re.findall(r"^manage\.py scenario(.*?)(?:\s{3,}.*)?$", text, re.MULTILINE):
        parser.parse_args(shlex.split(example))
    document = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert document
    path = tmp_path / "page.json"
    path.write_text(document[1])
    assert "1 scenarios passed." in run("--file", str(path))


# --- an entity that has to pass ----------------------------------------------------------------------------------
def test_an_edit_that_breaks_a_required_scenario_is_refused_and_names_it(owl: Entity, browser: Client) -> None:
    row = build.scenario(entity=owl, name="It is no chatterbox", document=SILENT, required=True)
    page = browser.post(url(Entity, "change", owl.pk), changes(owl, browser, response_chance="0.8"))
    assert page.status_code == 200
    told = page.content.decode()
    assert "its required scenario “It is no chatterbox” fails, message 1 “Nice weather.”: must be silent, but answers: chance 0.8" in told
    assert "scenario optional --entity owl" in told
    owl.refresh_from_db()
    assert owl.response_chance == 0.0
    row.refresh_from_db()
    assert row.passed is None
    assert browser.post(url(Entity, "change", owl.pk), changes(owl, browser, style="brief")).status_code == 302
    run("optional", "--entity", "owl", "--name", "It is no chatterbox")
    assert browser.post(url(Entity, "change", owl.pk), changes(owl, browser, response_chance="0.8")).status_code == 302


def test_a_required_scenario_that_cannot_be_read_says_how_to_get_out(owl: Entity, browser: Client) -> None:
    build.scenario(entity=owl, name="Broken", document={"messages": "Hi."}, required=True)
    told = browser.post(url(Entity, "change", owl.pk), changes(owl, browser, style="brief")).content.decode()
    assert "its required scenario “Broken” cannot be played: $.messages is" in told
    assert "take its “required” back (Scenarios in the admin, or manage.py scenario optional --entity owl --name “Broken”)" in told
    Scenario.objects.update(required=False)
    assert browser.post(url(Entity, "change", owl.pk), changes(owl, browser, style="brief")).status_code == 302


def test_it_can_always_be_switched_off_and_the_others_that_are_gone_are_named(owl: Entity, browser: Client) -> None:
    row = build.scenario(entity=owl, required=True)
    assert browser.post(url(Entity, "change", owl.pk), changes(owl, browser, enabled=None)).status_code == 302
    Scenario.objects.filter(pk=row.pk).update(document=row.document | {"setting": {"present": ["crow"]}})
    told = browser.post(url(Entity, "change", owl.pk), changes(owl, browser, style="brief")).content.decode()
    assert "$.setting.present names crow, which no entity is called" in told


def test_an_import_that_breaks_one_changes_nothing(owl: Entity) -> None:
    build.scenario(entity=owl, document=SILENT, required=True)
    said: dict[str, Any] = {"id": "owl", "username": "Owl", "color": "128000255", "systemPrompt": "You are an owl."}
    with pytest.raises(DocumentError, match="required scenario") as refused:
        apply(json.dumps({"entities": [said | {"responseChance": 0.5}]}).encode(), "test")
    assert refused.value.problems[0].path == "$.entities[0]"
    owl.refresh_from_db()
    assert owl.response_chance == 0.0
    apply(json.dumps({"entities": [said | {"responseChance": 0.0}]}).encode(), "test")


# --- the admin's own page ----------------------------------------------------------------------------------------
def test_the_page_plays_requires_and_refuses_a_document_that_is_none(owl: Entity, browser: Client) -> None:
    form = {"entity": owl.pk, "name": "first", "document": json.dumps(SILENT)}
    assert browser.post(url(Scenario, "add"), form).status_code == 302
    row = Scenario.objects.get()
    wrong = browser.post(url(Scenario, "change", row.pk), form | {"document": '{"messages": [{"text": 7}, {"after": 1}]}'})
    told = wrong.content.decode()
    assert "$.messages[0].text is 7" in told
    assert "$.messages[1].after is unknown" in told
    listed = url(Scenario, "changelist")
    chosen = {"_selected_action": [row.pk]}
    assert "1 of 1 passed." in browser.post(listed, {"action": "play", **chosen}, follow=True).content.decode()
    browser.post(listed, {"action": "require", **chosen})
    row.refresh_from_db()
    assert (row.passed, row.required) == (True, True)
    assert "Nice weather." in browser.get(url(Scenario, "change", row.pk)).content.decode()
    browser.post(url(Scenario, "change", row.pk), form | {"document": json.dumps(SILENT | {"setting": {"dice": "high"}}), "required": "on"})
    row.refresh_from_db()
    assert (row.passed, row.result) == (None, {})
    Entity.objects.filter(pk=owl.pk).update(response_chance=1.0)
    Scenario.objects.update(document=SILENT)
    assert "must be silent, but answers" in browser.post(listed, {"action": "play", **chosen}, follow=True).content.decode()
    assert reverse("admin:conversations_scenario_changelist") in browser.get(reverse("admin:index")).content.decode()
