"""An entity's pages: one version for each change, whatever was changed; its past; the way back; a copy."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from entities import switch, versions
from entities.models import Entity, RateLimit
from swwbot_site.lib.hooks import hookimpl, manager
from tests import build
from tests.doors.test_admin import changes, url


class Guard:
    @hookimpl
    def persona_problems(self, persona: Any) -> Sequence[str]:
        return ["it would <b>swear</b>"] if "swear" in persona.system_prompt else []


@pytest.fixture
def guard() -> Iterator[None]:
    plugin = Guard()
    manager.register(plugin, name="guard")
    yield
    manager.unregister(plugin)


def save(browser: Client, row: Entity, **over: object) -> Any:
    """Send the form with changes, limits too (`limit="7"` adds one of so many an hour)."""
    limit = over.pop("limit", None)
    data = changes(row, browser, **over)
    if limit:
        data |= {"limits-TOTAL_FORMS": 1, "limits-0-entity": row.pk, "limits-0-kind": "hour", "limits-0-amount": limit, "limits-0-every": 1}
    return browser.post(url(Entity, "change", row.pk), data)


def past(row: Entity) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(version.who, version.why, version.fields) for version in versions.versions(row.pk)][:-1]


def test_every_change_in_the_form_is_one_version_with_who_and_why(browser: Client) -> None:
    row = build.entity()
    assert save(browser, row, weight="2", mood="calm", limit="7").status_code == 302
    assert past(row) == [("admin", "changed in the admin: weight, mood, limits", ("weight", "mood", "limits"))]
    row = build.entity()
    assert save(browser, row, limit="7").status_code == 302
    assert past(row) == [("admin", "changed in the admin: limits", ("limits",))]
    row = build.entity()
    assert save(browser, row).status_code == 302
    assert past(row) == []
    assert save(browser, row, system_prompt="You are terse.\r\n").status_code == 302
    assert past(row) == []
    assert save(browser, row, enabled=None, weight="3", limit="8").status_code == 302
    assert past(row) == [("admin", "switched off by admin", ("enabled", "disabled_reason", "weight", "limits"))]


def test_actions_are_one_version_each_with_who(browser: Client) -> None:
    row = build.entity()
    for action in ("disable", "enable"):
        browser.post(url(Entity, "changelist"), {"action": action, "_selected_action": [row.pk]})
    assert [(who, why) for who, why, _ in past(row)] == [("admin", "switched on by admin"), ("admin", "switched off by admin")]


def test_why_an_entity_is_off_stands_in_the_list_and_on_its_page(browser: Client) -> None:
    row = build.entity()
    switch.disable([row.pk], "5 answers in a row failed; the last: <i>nobody</i> has it")
    for address in (url(Entity, "changelist"), url(Entity, "change", row.pk)):
        assert "5 answers in a row failed; the last: &lt;i&gt;nobody&lt;/i&gt; has it" in browser.get(address).content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("triggers", "5"),
        ("triggers", '["ping", ""]'),
        ("stop", '{"a": 1}'),
        ("aliases", "[1]"),
        ("warmup", '[{"role": "tool", "content": "x"}]'),
        ("warmup", "7"),
        ("extra", "[1]"),
    ],
)
def test_a_value_that_no_engine_could_use_is_refused_in_the_form(browser: Client, field: str, value: str) -> None:
    row = build.entity()
    response = save(browser, row, **{field: value})
    assert response.status_code == 200
    assert field in response.context["adminform"].form.errors
    assert past(row) == []


def test_a_plugins_objection_is_told_on_the_form_and_nothing_is_kept(browser: Client, guard: None) -> None:
    row = build.entity()
    response = save(browser, row, system_prompt="You swear.")
    assert "it would &lt;b&gt;swear&lt;/b&gt;" in response.content.decode()
    row.refresh_from_db()
    assert (row.system_prompt, past(row)) == ("You are terse.", [])
    assert save(browser, row, weight="2").status_code == 302


def test_the_past_is_shown_and_one_button_goes_back(browser: Client) -> None:
    row = build.entity(system_prompt="You are\n<b>terse</b>.", weight=1.0)
    first = versions.versions(row.pk)[0].number
    save(browser, row, system_prompt="You are\r\nkind.", weight="4", limit="7")
    listed = browser.get(url(Entity, "history", row.pk)).content.decode()
    assert "system_prompt, weight, limits" in listed
    assert Entity.objects.get().system_prompt == "You are\nkind."
    address = reverse("admin:entities_entity_simple_history", args=[row.pk, first])
    page = browser.get(address).content.decode()
    assert "+&lt;b&gt;terse&lt;/b&gt;." in page
    assert "7 posts in any hour" in page
    assert "Go back to this version" in page
    assert browser.post(address, follow=True).redirect_chain == [(url(Entity, "history", row.pk), 302)]
    row.refresh_from_db()
    assert (row.system_prompt, row.weight, row.limits.count()) == ("You are\n<b>terse</b>.", 1.0, 0)
    assert past(row)[0] == ("admin", f"back to version {first}", ("system_prompt", "weight", "limits"))
    assert "Go back" not in browser.get(address).content.decode()


def test_a_way_back_that_is_refused_is_told(browser: Client, guard: None) -> None:
    row = build.entity(system_prompt="You swear.")
    first = versions.versions(row.pk)[0].number
    Entity.objects.filter(pk=row.pk).update(system_prompt="You are kind.")
    response = browser.post(reverse("admin:entities_entity_simple_history", args=[row.pk, first]), follow=True)
    assert "is not changed: it would &lt;b&gt;swear" in response.content.decode()
    row.refresh_from_db()
    assert row.system_prompt == "You are kind."


def test_a_version_that_is_not_there_is_not_found(browser: Client) -> None:
    row, other = build.entity(), build.entity()
    foreign = versions.versions(other.pk)[0].number
    for number in (foreign, 0, "x", "9" * 40):
        address = reverse("admin:entities_entity_simple_history", args=[row.pk, number])
        assert (browser.get(address).status_code, browser.post(address).status_code) == (404, 404)
    assert browser.get(reverse("admin:entities_entity_history", args=["9" * 40])).status_code == 404


def test_a_copy_is_asked_for_and_made(browser: Client) -> None:
    row = build.entity(slug="owl", username="Owl")
    build.limit(entity=row)
    address = reverse("admin:entities_entity_copy", args=[row.pk])
    assert 'value="owl-2"' in browser.get(address).content.decode()
    assert "belongs to another entity" in browser.post(address, {"slug": "owl", "username": "Owl"}).content.decode()
    response = browser.post(address, {"slug": "uhu", "username": "Uhu"}, follow=True)
    copy = Entity.objects.get(slug="uhu")
    assert response.redirect_chain == [(url(Entity, "change", copy.pk), 302)]
    assert (copy.enabled, copy.limits.count()) == (False, 1)


def test_who_may_only_look_cannot_go_back_or_copy(db: None) -> None:
    row = build.entity(weight=1.0)
    first = versions.versions(row.pk)[0].number
    Entity.objects.update(weight=2.0)
    user = User.objects.create_user("looker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_entity"))
    browser = Client()
    browser.force_login(user)
    address = reverse("admin:entities_entity_simple_history", args=[row.pk, first])
    assert "Go back to this version" not in browser.get(address).content.decode()
    assert browser.post(address).status_code == 403
    assert browser.post(reverse("admin:entities_entity_copy", args=[row.pk]), {"slug": "x", "username": "X"}).status_code == 403
    assert (Entity.objects.count(), Entity.objects.get().weight) == (1, 2.0)


def test_going_back_needs_a_token_of_the_form(browser: Client) -> None:
    row = build.entity()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    address = reverse("admin:entities_entity_simple_history", args=[row.pk, versions.versions(row.pk)[0].number])
    assert strict.post(address).status_code == 403


def test_the_page_says_what_the_limits_leave(browser: Client) -> None:
    row = build.entity()
    build.limit(entity=row, kind="hour", amount=7)
    build.permit(entity=row, state="spent")
    page = browser.get(url(Entity, "change", row.pk)).content.decode()
    assert "7 an hour" in page
    assert browser.get(url(Entity, "add")).status_code == 200


def test_a_limit_changed_on_its_own_page_is_a_version_of_its_entity(browser: Client) -> None:
    one, other = build.entity(), build.entity()
    limit = build.limit(entity=one, amount=3)
    data = {"entity": other.pk, "kind": "minute", "amount": 4, "every": 1}
    assert browser.post(url(RateLimit, "change", limit.pk), data).status_code == 302
    assert past(one)[0][:2] == past(other)[0][:2] == ("admin", "a limit changed in the admin")
    assert past(other)[0][2] == ("limits",)
    assert browser.post(url(RateLimit, "delete", limit.pk), {"post": "yes"}).status_code == 302
    assert past(other)[0] == ("admin", "a limit deleted in the admin", ("limits",))
