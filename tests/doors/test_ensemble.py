"""Several voices through their doors: the command and the admin's pages."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cluster.lmstudio.emulator import Emulator as Studio
from conversations.models import Ensemble
from entities.models import Entity
from swwbot_site.lib import clock
from tests import build
from tests.harness import engines

EVIL = '<script>alert("x")</script> [red]{originalQuestion}'


@pytest.fixture
def choir(db: None) -> None:
    for slug in ("ann", "bo", "sum"):
        build.entity(slug=slug, username=slug.title(), model="maker/small")
    build.entity(slug="off", username="Off", enabled=False)


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("ensemble", *args, stdout=out, stderr=out)
    return out.getvalue()


def spoken(row: Ensemble) -> None:
    """As if one had answered and one had not."""
    now = clock.now()
    server, model = build.server(name="Studio"), build.model(key="maker/tiny")
    generation = build.generation(state="done", model=model, server=server)
    row.voices.filter(ordinal=0).update(state="done", text=EVIL, generation=generation, asked_at=now, ended_at=now)
    row.voices.filter(ordinal=1).update(state="failed", reason="It crashed.", asked_at=now, ended_at=now)


def page(name: str, *args: object) -> str:
    return reverse(f"admin:conversations_ensemble_{name}", args=args)


# --- the command -------------------------------------------------------------------------------------------------
def test_the_command_writes_a_question_down_and_shows_it(choir: None) -> None:
    out = run("What is time?", "--entities", "bo,ann", "--synthesizer", "sum", "--priority", "3", "--seconds", "60", "--key", "k")
    row = Ensemble.objects.get()
    assert (row.question, row.priority, row.key, (row.deadline - row.created_at).total_seconds()) == ("What is time?", 3, "k", 60)
    assert list(row.voices.order_by("ordinal").values_list("entity__slug", "synthesis")) == [("bo", False), ("ann", False), ("sum", True)]
    assert "Bo, Ann" in out
    assert f"Ensemble {row.pk} is running: 0 of 2 have answered" in out
    run("What is time?", "--entities", "bo,ann", "--synthesizer", "sum", "--key", "k")
    assert Ensemble.objects.count() == 1


@pytest.mark.parametrize(("who", "count"), [("all", 2), ("1", 1), (" ann , bo ", 2)])
def test_the_command_asks_all_or_some(choir: None, who: str, count: int) -> None:
    run("Why?", "--entities", who, "--synthesizer", "sum")
    assert Ensemble.objects.get().voices.count() == count + 1


def test_the_command_shows_what_was_said_as_text_and_as_json(choir: None) -> None:
    row = build.ensemble(*Entity.objects.filter(slug__in=["ann", "bo"]), synthesizer=Entity.objects.get(slug="sum"), question=EVIL)
    spoken(row)
    out = run("--show", str(row.pk))
    assert EVIL in out
    assert "1. Ann maker/tiny, Studio" in out
    assert "It crashed." in out
    told = json.loads(run("--show", str(row.pk), "--json"))
    assert [(one["entity"], one["state"], one["model"]) for one in told["steps"]] == [
        ("ann", "done", "maker/tiny"),
        ("bo", "failed", ""),
        ("sum", "waiting", ""),
    ]
    assert (told["answered"], told["voices"], told["state"]) == (1, 2, "running")


def test_the_command_calls_one_off_once(choir: None) -> None:
    row = build.ensemble()
    assert "is called off" in run("--cancel", str(row.pk))
    assert Ensemble.objects.get().state == "cancelled"
    with pytest.raises(CommandError, match="is not running"):
        run("--cancel", str(row.pk))


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["Why?"], "--synthesizer ID"),
        (["--synthesizer", "sum"], "no question"),
        (["Why?", "--synthesizer", "nobody"], "no entity 'nobody'"),
        (["Why?", "--synthesizer", "sum", "--entities", "off"], "off is switched off"),
        (["Why?", "--synthesizer", "sum", "--entities", ","], "Nobody is asked"),
        (["Why?", "--synthesizer", "sum", "--voice-prompt", "{count}"], "nothing fills in"),
        (["--show", "999999"], "no ensemble 999999"),
    ],
)
def test_the_command_says_what_is_wrong(choir: None, args: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        run(*args)
    assert Ensemble.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_command_waits_and_prints_each_answer_as_it_comes(studio: Callable[..., Studio], choir: None) -> None:
    studio(models=("maker/small:4",))
    with engines():
        out = run("What is time?", "--entities", "ann,bo", "--synthesizer", "sum", "--wait")
    assert [line.split(" maker")[0] for line in out.splitlines() if line[:2] in ("1.", "2.", "3.")] == [
        "1. Ann",
        "2. Bo",
        "3. Sum, the synthesis",
    ]
    assert "is done: 2 of 2 have answered" in out
    assert all(voice.text.split("\n")[0][:30] in out for voice in Ensemble.objects.get().voices.all())


def test_a_command_that_waited_in_vain_says_so(choir: None) -> None:
    row = build.ensemble(state="failed", reason="nobody answered: Ann: It crashed.")
    with pytest.raises(CommandError, match="without a synthesis: nobody answered"):
        run("--show", str(row.pk), "--wait")


# --- the admin ---------------------------------------------------------------------------------------------------
def form(**over: Any) -> dict[str, Any]:
    return {"question": "What is time?", "entities": ["ann", "bo"], "synthesizer": "sum", "priority": "50"} | over


def test_several_are_asked_in_the_admin(browser: Client, choir: None) -> None:
    opened = browser.get(page("add"))
    assert opened.status_code == 200
    assert "Ask several" in opened.content.decode()
    assert "Off (off)" not in opened.content.decode()
    answer = browser.post(page("add"), form(minutes="3"), follow=True)
    assert answer.status_code == 200
    row = Ensemble.objects.get()
    assert (row.asked_by, row.state, (row.deadline - row.created_at).total_seconds()) == ("admin", "running", 180)
    assert list(row.voices.order_by("ordinal").values_list("entity__slug", flat=True)) == ["ann", "bo", "sum"]


def test_the_admin_draws_a_number_or_asks_everybody(browser: Client, choir: None) -> None:
    browser.post(page("add"), form(count="1"))
    browser.post(page("add"), form(entities=[]))
    assert [row.voices.count() for row in Ensemble.objects.order_by("pk")] == [2, 3]


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"question": ""}, "This field is required"),
        ({"count": "5"}, "5 entities are asked for; 2 are enabled"),
        ({"post": "on"}, "There is no message to post answers to"),
        ({"number": "999999"}, "There is no message 999999"),
        ({"voice_prompt": "{count} {originalQuestion}"}, "which nothing fills in"),
        ({"entities": ["off"]}, "not one of the available choices"),
        ({"model": "maker/unheard-of"}, "There is no model"),
        ({"priority": "100"}, "less than or equal to 99"),
    ],
)
def test_what_cannot_be_asked_is_told_in_the_form(browser: Client, choir: None, over: dict[str, Any], told: str) -> None:
    answer = browser.post(page("add"), form(**over))
    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert Ensemble.objects.count() == 0


def test_the_page_of_an_ensemble_shows_every_voice_as_text_and_changes_nothing(browser: Client, choir: None) -> None:
    row = build.ensemble(*Entity.objects.filter(slug__in=["ann", "bo"]), question=EVIL, state="failed", reason=EVIL)
    spoken(row)
    shown = browser.get(page("change", row.pk)).content.decode()
    assert "<script>alert(" not in shown
    assert shown.count("&lt;script&gt;alert(") >= 3
    assert "maker/tiny" in shown
    assert "Studio" in shown
    assert "It crashed." in shown
    assert browser.post(page("change", row.pk), form(question="Another?")).status_code == 403
    assert browser.get(page("delete", row.pk)).status_code == 403


def test_an_ensemble_is_called_off_in_the_list(browser: Client, choir: None) -> None:
    rows = [build.ensemble(), build.ensemble(state="done")]
    shown = browser.get(page("changelist")).content.decode()
    assert "0 of 2" in shown
    answer = browser.post(page("changelist"), {"action": "call_off", "_selected_action": [row.pk for row in rows]}, follow=True)
    assert "1 called off." in answer.content.decode()
    assert [row.state for row in Ensemble.objects.order_by("pk")] == ["cancelled", "done"]
    assert Ensemble.objects.order_by("pk")[0].reason == "called off by admin"


def test_the_list_asks_no_more_for_many_than_for_few(browser: Client, choir: None) -> None:
    def queries(n: int) -> int:
        for _ in range(n):
            build.ensemble()
        with CaptureQueriesContext(connection) as asked:
            assert browser.get(page("changelist")).status_code == 200
        return len(asked)

    queries(1)
    assert queries(1) == queries(10) < 20


def test_whoever_may_only_look_can_neither_ask_nor_call_off(choir: None) -> None:
    row = build.ensemble()
    user = User.objects.create_user("guest", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_ensemble"))
    client = Client()
    client.force_login(user)
    assert client.get(page("changelist")).status_code == 200
    assert client.get(page("add")).status_code == 403
    assert client.post(page("add"), form()).status_code == 403
    client.post(page("changelist"), {"action": "call_off", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.state == "running"
