"""Which programs ask: on the status page and in the terminal, by their tokens' names."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client

from cluster import programs as asking
from cluster.programs import programs
from swwbot_site.lib import clock
from swwbot_site.monitoring import board
from tests import build

pytestmark = pytest.mark.django_db


def test_each_program_has_what_waits_runs_and_was_answered() -> None:
    one, other = build.model(key="maker/one"), build.model(key="maker/other")
    now = clock.now()
    build.generation(caller="api:notebook", model=one)
    build.generation(caller="api:notebook", model=one, state="running")
    build.generation(caller="api:notebook", model=other, state="done", completion_tokens=7)
    build.generation(caller="api:notebook", model=one, state="done", completion_tokens=5)
    build.generation(caller="api:notebook", model=one, state="failed")
    build.generation(caller="api:cron", model=one, state="expired", ended_at=now - timedelta(minutes=4))
    build.generation(caller="entity:owl", model=one, state="done")
    build.generation(caller="try:admin", model=one)
    build.generation(caller="api:yesterday", model=one, state="done", ended_at=now - timedelta(days=1))
    first, second = programs(clock.now())
    assert (first.name, first.waiting, first.running, first.done, first.failed, first.tokens) == ("notebook", 1, 1, 2, 1, 12)
    assert first.models == (("maker/one", 4), ("maker/other", 1))
    assert (second.name, second.done, second.failed, second.last) == ("cron", 0, 1, now - timedelta(minutes=4))


def test_a_request_that_has_waited_for_longer_than_five_minutes_is_still_told() -> None:
    build.generation(caller="api:patient", queued_at=clock.now() - timedelta(hours=1))
    [one] = programs(clock.now())
    assert (one.name, one.waiting, one.last) == ("patient", 1, None)


def test_of_very_many_answers_it_says_that_there_were_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST", 2)
    for _ in range(3):
        build.generation(caller="api:busy", state="done")
    [one] = programs(clock.now())
    assert (one.done, one.partial) == (2, True)


def test_the_status_page_names_them_and_their_text_stays_text(browser: Client) -> None:
    build.generation(caller="api:<script>alert(1)</script>", state="done")
    told = browser.get("/status/live/").json()["regions"]["programs"]
    [html] = told["html"].values()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</a>" in html
    assert "<script>" not in html
    assert "?q=api%3A%3Cscript%3E" in html


def test_without_any_it_says_how_one_may_ask(browser: Client) -> None:
    told = browser.get("/status/live/").json()["regions"]["programs"]
    assert told["order"] == ["none"]
    assert "/v1/" in told["html"]["none"]


def test_of_very_many_programs_the_rest_is_counted(browser: Client) -> None:
    for number in range(board.PROGRAMS + 2):
        build.generation(caller=f"api:p{number}", state="done")
    told = browser.get("/status/live/").json()["regions"]["programs"]
    assert len(told["order"]) == board.PROGRAMS + 1
    assert "2 answers of 2 more programs." in told["html"]["more"]


def test_the_terminal_shows_them_too() -> None:
    build.generation(caller="api:notebook", state="done")
    drawn, told = io.StringIO(), io.StringIO()
    call_command("clusterstatus", stdout=drawn)
    assert "Programs, in 5 minutes" in drawn.getvalue()
    assert "notebook" in drawn.getvalue()
    call_command("clusterstatus", "--json", stdout=told)
    [one] = json.loads(told.getvalue())["programs"]
    assert (one["name"], one["done"], one["failed"]) == ("notebook", 1, 0)
