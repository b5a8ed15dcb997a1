"""What the admin's pages do beside editing rows: each asked for first, done by a POST, through the verb. And the front page."""

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from cluster.models import Generation, Server
from conversations.models import Reply
from entities.models import Entity
from swwbot_site.lib import clock, leafing
from swwbot_site.models import Event
from swwbot_site.monitoring import dashboard
from tests import build
from tests.doors.test_admin import LISTED, url

pytestmark = pytest.mark.django_db


def test_a_deed_asks_first_and_changes_nothing_until_then(browser: Client) -> None:
    row = build.server(name="<b>Attic</b>")
    page = browser.post(url(Server, "do", row.pk), {"deed": "drain"})
    assert page.status_code == 200
    assert "Let these finish what they have" in page.content.decode()
    assert "&lt;b&gt;Attic&lt;/b&gt;" in page.content.decode()
    row.refresh_from_db()
    assert not row.draining
    assert browser.post(url(Server, "do", row.pk), {"deed": "drain", "sure": "yes"}).status_code == 302
    row.refresh_from_db()
    assert row.draining


@pytest.mark.parametrize("data", [{}, {"deed": "explode", "sure": "yes"}])
def test_what_is_no_deed_is_not_found(browser: Client, data: dict[str, str]) -> None:
    assert browser.post(url(Server, "do", build.server().pk), data).status_code == 404
    assert browser.post(url(Server, "do", 4711), {"deed": "drain", "sure": "yes"}).status_code == 404


def test_many_are_drained_in_the_list(browser: Client) -> None:
    rows = [build.server(), build.server()]
    data = {"action": "drain", "_selected_action": [row.pk for row in rows]}
    assert "Let these finish" in browser.post(url(Server, "changelist"), data).content.decode()
    assert "2 draining." in browser.post(url(Server, "changelist"), data | {"sure": "yes"}, follow=True).content.decode()
    assert Server.objects.filter(draining=True).count() == 2
    again = browser.post(url(Server, "changelist"), data | {"sure": "yes"}, follow=True)
    assert "Nothing changed" in again.content.decode()


def test_a_model_is_loaded_from_the_servers_own_page_and_only_what_it_has(browser: Client) -> None:
    offer, other = build.offer(model=build.model(key="maker/big")), build.offer(model=build.model(key="maker/elsewhere"))
    page = browser.get(url(Server, "change", offer.server_id)).content.decode()
    assert "maker/big (17.0 GB)" in page
    assert "maker/elsewhere (" not in page
    told = browser.post(url(Server, "do", offer.server_id), {"deed": "load", "choice": str(other.pk), "sure": "yes"}, follow=True)
    assert "has no such model" in told.content.decode()
    asked = browser.post(url(Server, "do", offer.server_id), {"deed": "load", "choice": str(offer.pk)}).content.decode()
    assert "maker/big (17.0 GB)" in asked
    browser.post(url(Server, "do", offer.server_id), {"deed": "load", "choice": str(offer.pk), "sure": "yes"})
    row = Generation.objects.get()
    assert (row.pin, row.model, row.caller) == (offer.server, offer.model, "load:admin")


def test_requests_are_brought_forward_called_off_and_asked_again_in_the_list(browser: Client) -> None:
    waiting, ended = build.generation(priority=90), build.generation(state="failed")
    build.offer(model=ended.model)
    for deed, row in (("hurry", waiting), ("cancel", waiting), ("again", ended)):
        browser.post(url(Generation, "changelist"), {"action": deed, "_selected_action": [row.pk], "sure": "yes"})
    waiting.refresh_from_db()
    assert (waiting.priority, waiting.state) == (0, "cancelled")
    assert Generation.objects.filter(caller="again:admin", state="queued").count() == 1


def test_what_the_verb_refuses_is_told(browser: Client) -> None:
    row = build.generation(state="done")
    told = browser.post(url(Generation, "changelist"), {"action": "hurry", "_selected_action": [row.pk], "sure": "yes"}, follow=True)
    assert f"Request {row.pk} is done: only what waits" in told.content.decode()
    told = browser.post(url(Generation, "do", row.pk), {"deed": "hurry", "choice": "many", "sure": "yes"}, follow=True)
    assert "invalid literal" in told.content.decode()


def test_requests_are_filtered_by_band_of_priority(browser: Client) -> None:
    build.generation(priority=5, caller="first")
    build.generation(priority=95, caller="last")
    page = browser.get(url(Generation, "changelist"), {"band": "critical"}).content.decode()
    assert "first" in page
    assert ">last<" not in page


def test_an_entity_is_tried_and_the_page_asks_until_it_is_over(browser: Client) -> None:
    build.offer(model=build.model(key="maker/small"))
    row = build.entity(username="Sage", model="maker/small")
    answer = browser.post(reverse("entity-try", args=[row.pk]), {"said": "<i>why?</i>"})
    pk = Generation.objects.get().pk
    assert answer.headers["Location"] == reverse("entity-trial", args=[row.pk, pk])
    page = browser.get(answer.headers["Location"]).content.decode()
    assert 'hx-trigger="every 1s"' in page
    Generation.objects.filter(pk=pk).update(
        state="done", ended_at=clock.now(), text="<script>alert(1)</script> because.", finish_reason="stop"
    )
    part = browser.get(answer.headers["Location"], headers={"HX-Request": "true"}).content.decode()
    assert "Sage would say" in part
    assert "hx-trigger" not in part
    assert "<script>" not in part
    assert not Reply.objects.exists()
    assert browser.get(reverse("entity-trial", args=[row.pk, build.generation().pk])).status_code == 404


@pytest.mark.parametrize(
    ("data", "said"), [({"message": "12x"}, "is no message"), ({"message": "4711"}, "no message 4711"), ({}, "no message yet")]
)
def test_what_cannot_be_tried_is_a_sentence(browser: Client, data: dict[str, str], said: str) -> None:
    page = browser.post(reverse("entity-try", args=[build.entity().pk]), data)
    assert said in page.content.decode()
    assert not Generation.objects.exists()


def test_an_entity_is_exported_as_a_file_that_can_be_imported(browser: Client) -> None:
    row = build.entity(slug="Sage/../x", username="Sage", system_prompt="Zeile 1\n\u202e<b>")
    build.limit(entity=row, kind="hour", amount=7)
    answer = browser.get(reverse("entity-export", args=[row.pk]))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sagex.json"'
    told = json.loads(answer.content)
    assert [one["id"] for one in told["entities"]] == ["Sage/../x"]
    assert told["entities"][0]["systemPrompt"] == "Zeile 1\n\u202e<b>"
    assert browser.get(reverse("entity-export", args=[4711])).status_code == 404


def test_the_list_of_entities_shows_what_is_left_and_when_the_next_is_free(browser: Client) -> None:
    full, now = build.entity(), clock.now()
    build.limit(entity=full, kind="hour", amount=2)
    for _ in range(2):
        build.permit(entity=full, state="spent", settled_at=now - timedelta(minutes=20))
    build.limit(entity=build.entity(), kind="day", amount=9)
    page = browser.get(url(Entity, "changelist")).content.decode()
    assert "0 of 2 an hour" in page
    assert "in 40 min" in page
    assert "9 of 9 a day" in page


def test_the_front_page_tells_how_it_goes(browser: Client) -> None:
    build.seat()
    reply = build.reply(state="posted")
    Reply.objects.filter(pk=reply.pk).update(ended_at=clock.now() - timedelta(seconds=1))
    build.event(level="error", text="<b>broken</b>")
    page = browser.get(reverse("admin:index")).content.decode()
    for text in ("1 in the last hour", "Memory of the servers", "17 of 96 GB", "&lt;b&gt;broken&lt;/b&gt;", "No engine is running"):
        assert text in page, text
    assert "<script>" not in page.partition('id="board"')[2]
    assert browser.get(reverse("dashboard-live")).status_code == 200


def test_the_front_page_of_an_empty_system_is_no_accident(browser: Client) -> None:
    page = browser.get(reverse("admin:index")).content.decode()
    assert "No server yet" in page
    assert "no answer in the last hour" in page


@pytest.mark.parametrize("values", [[], [0, 0], [1, 2, 4], [1e9, 0.001]])
def test_a_chart_stays_within_its_drawing(values: list[float]) -> None:
    for x, y, width, height in dashboard.chart(values, "", "").columns:
        assert 0 <= x < x + width <= len(values)
        assert 0 <= y <= y + height <= dashboard.TOP + 0.01


def test_a_list_is_never_counted_further_than_it_can_be_leafed_through(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leafing, "SHOWN", 60)
    now = clock.now()
    Event.objects.bulk_create(Event(at=now, kind="test.happened", text=f"number {n}") for n in range(130))
    page = browser.get(url(Event, "changelist")).content.decode()
    assert "the first 60 can be leafed through" in page
    assert browser.get(url(Event, "changelist"), {"p": "2"}).status_code == 200
    assert browser.get(url(Event, "changelist"), {"p": "3"}).status_code == 302


def test_words_are_looked_for_in_the_newest_rows_and_a_number_in_all(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leafing, "NEWEST", 2)
    rows = [build.message(text="a garden") for _ in range(4)]
    page = browser.get(url(type(rows[0]), "changelist"), {"q": "garden"})
    assert page.context["cl"].result_count == 2
    page = browser.get(url(type(rows[0]), "changelist"), {"q": str(rows[0].pk)})
    assert page.context["cl"].result_count == 1


@pytest.mark.parametrize("words", ["garden", "\x00", "\ud800", "9" * 30, "²", "%_\\", "' OR 1=1 --", "x" * 5000])
def test_every_list_bears_whatever_is_looked_for(browser: Client, words: str) -> None:
    for model in LISTED:
        found = browser.get(url(model, "changelist") + "?" + urlencode({"q": words.encode("utf-8", "surrogatepass")}))
        assert found.status_code in (200, 302), model
