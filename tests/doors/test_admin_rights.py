"""Who may do what: a viewer only looks, an operator runs it, an administrator changes it. Page by page."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from cluster.models import Generation, Placement, Server
from conversations import read
from entities.models import Entity
from swwbot_site import rights
from tests import build
from tests.doors.test_admin import LISTED, PAGES, town, url

pytestmark = pytest.mark.django_db

SECRETS = [model for model in LISTED if model._meta.app_label == "swwbot_site" and model._meta.model_name in rights.SECRET]
OPEN = [model for model in LISTED if model not in SECRETS]


@pytest.fixture(autouse=True)
def groups(db: None) -> None:
    """A test that empties every table takes the groups with it."""
    rights.settle()


def person(group: str) -> Client:
    user = User.objects.create_user(f"a-{group}", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def test_the_groups_are_there_and_everything_that_is_shown_has_its_permissions() -> None:
    assert {"viewer", "operator", "administrator"} <= set(Group.objects.values_list("name", flat=True))
    held = {
        name: set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))
        for name in ("viewer", "operator", "administrator")
    }
    assert held["viewer"] < held["operator"] < held["administrator"]
    assert set(rights.OPERATING) <= held["operator"]
    assert all(codename.startswith("view_") for codename in held["viewer"])
    for model in admin.site._registry:
        assert {f"view_{model._meta.model_name}", f"change_{model._meta.model_name}"} <= held["administrator"], model


def test_what_people_change_in_the_groups_stays() -> None:
    Group.objects.get(name="viewer").delete()
    Group.objects.get(name="operator").permissions.clear()
    rights.settle()
    assert not Group.objects.filter(name="viewer").exists()
    assert not Group.objects.get(name="operator").permissions.exists()


def test_the_groups_are_made_where_nothing_was_before() -> None:
    Group.objects.all().delete()
    Permission.objects.filter(codename__in=[codename for _, _, codename, _ in rights.OWN]).delete()
    Group.objects.create(name="viewer")
    rights.settle()
    assert Group.objects.get(name="viewer").permissions.filter(codename="view_server").exists()
    assert apps.get_model("auth", "Group")._default_manager.count() == 3


@pytest.mark.parametrize("model", OPEN, ids=lambda model: model._meta.label)
def test_a_viewer_sees_every_page_and_changes_none(model: Any) -> None:
    town(1)
    client, row = person("viewer"), model._default_manager.order_by("pk").last()
    assert client.get(url(model, "changelist")).status_code == 200
    assert client.post(url(model, "add"), {}).status_code == 403
    if row is not None:
        assert client.get(url(model, "change", row.pk)).status_code == 200
        assert client.post(url(model, "change", row.pk), {}).status_code == 403
        assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
        assert model._default_manager.filter(pk=row.pk).exists()


def test_only_administrators_see_keys_and_webhooks() -> None:
    clients = {group: person(group) for group in ("viewer", "operator", "administrator")}
    for model in SECRETS:
        told = {group: client.get(url(model, "changelist")).status_code for group, client in clients.items()}
        assert told == {"viewer": 403, "operator": 403, "administrator": 200}, model


def test_an_operator_changes_no_form() -> None:
    town(1)
    client = person("operator")
    for model in OPEN:
        row = model._default_manager.order_by("pk").last()
        if row is not None:
            assert client.post(url(model, "change", row.pk), {}).status_code == 403, model
            assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403, model


def actions() -> list[tuple[type, str]]:
    """Every action of every list, deeds included."""
    found = []
    for model in PAGES:
        page = admin.site._registry[model]
        names = [name if isinstance(name, str) else name.__name__ for name in page.actions or ()]
        names += [deed.name for deed in getattr(page, "deeds", ()) if deed.many]
        found += [(model, name) for name in names]
    return found


@pytest.mark.parametrize(("model", "name"), actions(), ids=lambda one: one if isinstance(one, str) else one._meta.label)
def test_a_viewer_is_offered_no_action_and_refused_each(model: Any, name: str) -> None:
    town(1)
    row = model._default_manager.order_by("pk").last()
    pk = row.pk if row else 1
    client = person("viewer")
    assert f'value="{name}"' not in client.get(url(model, "changelist")).content.decode()
    response = client.post(url(model, "changelist"), {"action": name, "_selected_action": [pk], "sure": "yes"})
    assert response.status_code == 403


DEEDS = [(model, deed) for model in PAGES for deed in getattr(admin.site._registry[model], "deeds", ())]


@pytest.mark.parametrize(("model", "deed"), DEEDS, ids=lambda one: getattr(one, "name", None) or one._meta.label)
def test_a_viewer_has_no_buttons_and_is_refused_what_they_do(model: Any, deed: Any) -> None:
    town(1)
    row = model._default_manager.order_by("pk").last()
    client = person("viewer")
    assert "sww-deed" not in client.get(url(model, "change", row.pk)).content.decode().replace("swwbot/admin.css", "")
    data = {"deed": deed.name, "sure": "yes"}
    assert client.post(url(model, "do", row.pk), data).status_code == 403
    assert client.get(url(model, "do", row.pk)).status_code == 405, "nothing is done by looking"


def test_a_viewer_tries_nothing_stops_nothing_and_copies_nothing() -> None:
    row, client = build.entity(), person("viewer")
    page = client.get(url(Entity, "change", row.pk)).content.decode()
    assert "Try it" not in page
    assert "Make the copy" not in page
    assert client.post(reverse("entity-try", args=[row.pk]), {"said": "x"}).status_code == 403
    assert client.get(reverse("entity-try", args=[row.pk])).status_code == 403
    assert client.post(url(Entity, "copy", row.pk), {"slug": "x", "username": "x"}).status_code == 403
    assert client.post(reverse("admin:conversations_conversationpolicy_switch"), {"verb": "stop", "sure": "yes"}).status_code == 403
    assert (Generation.objects.count(), Entity.objects.count(), read.stopped()) == (0, 1, None)


def test_an_operator_runs_it_without_changing_what_it_is() -> None:
    seat = build.seat()
    server, entity, client = seat.placement.server, build.entity(), person("operator")
    idle = build.placement()
    for model, deed, row in (
        (Server, "drain", server),
        (Placement, "unload", idle),
        (Generation, "cancel", seat.generation),
    ):
        assert client.post(url(model, "do", row.pk), {"deed": deed, "sure": "yes"}).status_code == 302
    server.refresh_from_db()
    idle.refresh_from_db()
    seat.generation.refresh_from_db()
    assert (server.draining, idle.dismissed, seat.generation.state) == (True, True, "cancelled")
    client.post(url(Entity, "changelist"), {"action": "disable", "_selected_action": [entity.pk]})
    entity.refresh_from_db()
    assert not entity.enabled
    client.post(reverse("admin:conversations_conversationpolicy_switch"), {"verb": "stop", "why": "noise", "sure": "yes"})
    assert read.stopped() is not None
    assert client.post(url(Entity, "change", entity.pk), {"slug": "x"}).status_code == 403


def test_who_is_in_no_group_is_told_so_and_sees_nothing() -> None:
    build.server(name="Attic")
    client = Client()
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    page = client.get(reverse("admin:index")).content.decode()
    assert "puts you into a group" in page
    assert "Attic" not in page
    assert client.get(url(Server, "changelist")).status_code == 403
    assert client.get(reverse("admin:cluster_server_memory")).status_code == 403
    assert "Attic" not in client.get(reverse("dashboard-live")).content.decode()
