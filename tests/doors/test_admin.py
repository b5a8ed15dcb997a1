"""The admin: every page opens, stays fast, keeps secrets, and never writes what it was not asked to."""

import pytest
from django.contrib import admin
from django.db import connection
from django.forms import CheckboxInput
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks

from cluster.models import ClusterPolicy, LanguageModel, Server
from conversations.models import ConversationPolicy, Feed
from entities.models import Entity
from swwbot_site.lib import clock
from swwbot_site.lib.events import Happening
from swwbot_site.retention.row import Retention
from tests import build
from tests.doors.everything import scene

OURS = {"cluster", "entities", "conversations", "swwbot_site"}
PAGES = sorted((model for model in admin.site._registry if model._meta.app_label in OURS), key=lambda model: model._meta.label)
LISTED = [model for model in PAGES if model not in (ClusterPolicy, ConversationPolicy, Retention)]
READ_ONLY = [
    "cluster.Generation",
    "cluster.Seat",
    "cluster.Notice",
    "cluster.Placement",
    "cluster.Offer",
    "conversations.Message",
    "conversations.Reply",
]
READ_ONLY += ["conversations.Engine", "entities.Permit", "swwbot_site.Event"]


def url(model: type, page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def town(count: int) -> None:
    """A few of every row, related."""
    feed = Feed.objects.first() or build.feed()
    for _ in range(count):
        server, model, entity = build.server(), build.model(), build.entity()
        build.offer(server=server, model=model)
        build.seat(placement=build.placement(server=server, model=model))
        build.limit(entity=entity)
        done = build.generation(state="done", model=model, server=server)
        permit = build.permit(entity=entity, state="spent")
        build.reply(state="posted", message=build.message(feed=feed), entity=entity, generation=done, permit=permit)
        build.room(feed=feed)
        build.engine()
        build.event()
        build.share()
        build.notice()
        build.scenario(entity=entity)


def changes(row: Server | Entity | ClusterPolicy | LanguageModel, browser: Client, **over: object) -> dict[str, object]:
    """What a browser would send back from the row's page, with some fields changed."""
    response = browser.get(url(type(row), "change", row.pk))
    data: dict[str, object] = {}
    forms = [response.context["adminform"].form, *(form for one in response.context["inline_admin_formsets"] for form in one.formset.forms)]
    for formset in response.context["inline_admin_formsets"]:
        for field in formset.formset.management_form:
            data[field.html_name] = field.value()
    for form in forms:
        for field in form:
            value = field.field.widget.format_value(field.value()) if hasattr(field.field.widget, "format_value") else field.value()
            if isinstance(field.field.widget, CheckboxInput) and field.value():
                value = "on"
            if isinstance(value, list):
                value = value[0] if value else ""
            if value not in (None, False, "False"):
                data[field.html_name] = value
    return {name: value for name, value in (data | over).items() if value is not None}


@pytest.mark.parametrize("model", LISTED, ids=lambda model: model._meta.label)
def test_a_list_opens_and_its_queries_do_not_grow_with_its_rows(browser: Client, model: type) -> None:
    town(2)
    browser.get(url(model, "changelist"))
    with CaptureQueriesContext(connection) as few:
        assert browser.get(url(model, "changelist")).status_code == 200
    town(10)
    with CaptureQueriesContext(connection) as many:
        assert browser.get(url(model, "changelist")).status_code == 200
    assert len(many) == len(few) < 20


@pytest.mark.parametrize("model", LISTED, ids=lambda model: model._meta.label)
def test_a_list_can_be_searched(browser: Client, model: type) -> None:
    town(1)
    assert browser.get(url(model, "changelist"), {"q": "1"}).status_code == 200


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_a_row_opens(browser: Client, model: type) -> None:
    scene("words")
    build.scenario()
    build.token()
    row = model._default_manager.order_by("pk").last()
    assert row is not None
    assert browser.get(url(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("label", READ_ONLY)
def test_what_machines_write_is_read_only(browser: Client, label: str) -> None:
    town(1)
    model = next(model for model in PAGES if model._meta.label == label)
    assert browser.get(url(model, "add")).status_code == 403
    assert browser.post(url(model, "change", model._default_manager.last().pk), {}).status_code == 403
    assert browser.get(url(model, "delete", model._default_manager.last().pk)).status_code == 403


def test_a_server_can_be_added_changed_and_deleted_with_what_it_holds(browser: Client) -> None:
    form = browser.get(url(Server, "add"))
    assert form.status_code == 200
    server = build.server()
    build.placement(server=server)
    build.offer(server=server)
    response = browser.post(url(Server, "change", server.pk), changes(server, browser, name="Studio", budget_gb="80"))
    assert response.status_code == 302, response.context["errors"]
    server.refresh_from_db()
    assert (server.name, server.budget_gb) == ("Studio", 80)
    assert browser.post(url(Server, "delete", server.pk), {"post": "yes"}).status_code == 302
    assert not Server.objects.exists()


def test_a_token_is_never_shown_and_an_empty_field_keeps_it(browser: Client) -> None:
    server = build.server(token="sk-secret-1")
    assert b"sk-secret-1" not in browser.get(url(Server, "change", server.pk)).content
    browser.post(url(Server, "change", server.pk), changes(server, browser, region="attic"))
    server.refresh_from_db()
    assert (server.token, server.region) == ("sk-secret-1", "attic")


def test_a_token_can_be_replaced_and_thrown_away(browser: Client) -> None:
    server = build.server(token="sk-secret-1")
    browser.post(url(Server, "change", server.pk), changes(server, browser, token="sk-secret-2"))
    server.refresh_from_db()
    assert server.token == "sk-secret-2"
    browser.post(url(Server, "change", server.pk), changes(server, browser, forget_token="on"))
    server.refresh_from_db()
    assert server.token == ""


def test_a_form_saves_only_what_was_changed_in_it(browser: Client) -> None:
    server = build.server(state="online")
    data = changes(server, browser, region="attic")
    statements = _written(browser, url(Server, "change", server.pk), data, "cluster_server")
    assert statements
    assert all("state" not in statement.partition("WHERE")[0] for statement in statements)


def _written(browser: Client, address: str, data: dict[str, object], table: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        assert browser.post(address, data).status_code == 302
    return [query["sql"] for query in queries if query["sql"].startswith(f'UPDATE "{table}"')]


def test_saving_settings_wakes_the_engines(browser: Client) -> None:
    for row in (build.server(), build.entity(), build.policy()):
        with CaptureQueriesContext(connection) as queries:
            assert browser.post(url(type(row), "change", row.pk), changes(row, browser)).status_code == 302
        said = {query["sql"] for query in queries if query["sql"].startswith("NOTIFY")}
        assert {"NOTIFY sww_settings", "NOTIFY sww_serve", "NOTIFY sww_listen"} <= said


def test_the_policy_is_one_row_that_is_always_there(browser: Client) -> None:
    response = browser.get(url(ClusterPolicy, "changelist"))
    assert response.status_code == 302
    assert browser.get(response["Location"]).status_code == 200
    assert browser.get(url(ClusterPolicy, "add")).status_code == 403
    assert browser.get(url(ClusterPolicy, "delete", 1)).status_code == 403


def test_entities_are_switched_by_actions_which_say_so(
    browser: Client, heard: list[Happening], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    rows = [build.entity(), build.entity(), build.entity(enabled=False)]
    data = {"action": "disable", "_selected_action": [row.pk for row in rows]}
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post(url(Entity, "changelist"), data, follow=True)
    assert "2 switched off." in response.content.decode()
    assert not Entity.objects.filter(enabled=True).exists()
    assert Entity.objects.get(pk=rows[0].pk).disabled_reason == "switched off by admin"
    assert [one.kind for one in heard] == ["entity.disabled", "entity.disabled"]
    assert rows[0].history.first().enabled is False
    browser.post(url(Entity, "changelist"), data | {"action": "enable"})
    assert Entity.objects.filter(enabled=True, disabled_reason="").count() == 3


def test_switching_an_entity_in_its_form_goes_through_the_verb(
    browser: Client, heard: list[Happening], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    row = build.entity()
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post(
            url(Entity, "change", row.pk), changes(row, browser, enabled=None, disabled_reason="on holiday", weight="2")
        )
    assert response.status_code == 302, response.context["errors"]
    row.refresh_from_db()
    assert (row.enabled, row.disabled_reason, row.weight) == (False, "on holiday", 2)
    assert [one.kind for one in heard] == ["entity.disabled"]
    assert browser.get(url(Entity, "history", row.pk)).status_code == 200


def test_an_entity_takes_its_limits_inline(browser: Client) -> None:
    row = build.entity()
    data = changes(row, browser) | {
        "limits-TOTAL_FORMS": 1,
        "limits-0-entity": row.pk,
        "limits-0-kind": "hour",
        "limits-0-amount": 7,
        "limits-0-every": 1,
    }
    assert browser.post(url(Entity, "change", row.pk), data).status_code == 302
    assert row.limits.get().amount == 7


def test_a_feed_with_messages_stays(browser: Client) -> None:
    empty, full = build.feed(failures=2, error="refused"), build.message().feed
    assert b"refused" in browser.get(url(Feed, "changelist")).content
    assert browser.post(url(Feed, "delete", empty.pk), {"post": "yes"}).status_code == 302
    assert browser.post(url(Feed, "delete", full.pk), {"post": "yes"}).status_code == 403
    assert Feed.objects.get() == full


def test_several_servers_can_be_deleted_at_once(browser: Client) -> None:
    rows = [build.placement().server, build.server()]
    data = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    with CaptureQueriesContext(connection) as queries:
        assert browser.post(url(Server, "changelist"), data).status_code == 302
    assert not Server.objects.exists()
    assert any(query["sql"] == "NOTIFY sww_serve" for query in queries)


def test_an_impossible_value_is_a_sentence_on_the_form(browser: Client) -> None:
    row = build.entity()
    response = browser.post(url(Entity, "change", row.pk), changes(row, browser, response_chance="7"))
    assert response.status_code == 200
    assert "entity_chance_0_to_1" in response.content.decode()


def test_a_generation_explains_itself_on_one_page(browser: Client) -> None:
    model, now = build.model(key="maker/model"), clock.now()
    placement = build.placement(model=model, reason="Mac has room", scores={"gain": 9.5, "cost": 0.0, "bar": 1.2}, preloaded=True)
    row = build.generation(
        state="done",
        model=model,
        placement=placement,
        server=placement.server,
        tried=[{"server": "Old <Mac>", "code": "hung", "text": "No token.", "retry": "elsewhere", "at": now.isoformat()}],
        decision={
            "why": "best of 1",
            "server": placement.server.name,
            "strategy": "gone-with-its-plugin",
            "candidates": [{"server": placement.server.name, "expected_s": 4.2, "in_flight": 1, "score": [0.5, 7]}],
            "waited": "it was loading",
            "hedged": {"server": "Mac 2", "after_s": 2.0, "why": "no token", "answers": "Mac 2"},
        },
    )
    page = browser.get(url(type(row), "change", row.pk)).content.decode()
    for text in (
        "best of 1",
        "it was loading",
        "Mac 2 was first",
        "(chosen)",
        "number 2",
        "Old &lt;Mac&gt;",
        "gain 9.5",
        "before anybody asked",
    ):
        assert text in page, text


def test_a_placement_tells_why_it_came_and_why_it_left(browser: Client) -> None:
    left = {"why": "makes room for maker/new", "for": "maker/new", "gain": 9.5, "cost": 0.7, "bar": 2.1}
    row = build.placement(state="gone", reason="Mac had room", departure=left)
    page = browser.get(url(type(row), "change", row.pk)).content.decode()
    assert "Mac had room" in page
    assert "makes room for maker/new: gain 9.5, cost 0.7, bar 2.1" in page


def test_a_size_that_was_changed_by_hand_is_never_learned_over(browser: Client) -> None:
    row = build.model(size_gb=17)
    assert browser.post(url(type(row), "change", row.pk), changes(row, browser, size_gb="23")).status_code == 302
    row.refresh_from_db()
    assert (row.size_gb, row.size_source) == (23, "operator")


def test_chat_text_is_escaped(browser: Client) -> None:
    message = build.message(text="<script>alert(1)</script>", username="<b>x", verdict={"why": "<i>"})
    for address in (url(type(message), "changelist"), url(type(message), "change", message.pk)):
        page = browser.get(address).content.decode()
        assert "<script>alert(1)</script>" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_strangers_are_sent_to_the_login(client: Client, db: None) -> None:
    assert client.get("/admin/").status_code == 302
