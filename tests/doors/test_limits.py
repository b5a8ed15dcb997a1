"""Limits in the admin and the API: how they stand, how they are made, and how their count begins anew."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from entities.models import Entity, Permit, RateLimit
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:entities_ratelimit_changelist"


def chosen(*rows: RateLimit | Entity, **more: str) -> dict[str, Any]:
    """What a browser sends when an action is chosen for rows."""
    return {"action": "anew", "_selected_action": [row.pk for row in rows], **more}


def test_the_list_says_what_is_left_and_when_one_more_is_free(browser: Client) -> None:
    who, feed, now = build.entity(slug="owl"), build.feed(name="main"), clock.now()
    build.limit(entity=who, feed=feed, kind="minute", every=10, amount=3)
    build.limit(entity=who, kind="gap", amount=45)
    build.limit(entity=None, kind="day", amount=1)
    build.permit(entity=who, feed=feed, state="reserved")
    build.permit(entity=who, feed=feed, state="spent", settled_at=now - timedelta(hours=2))
    rows = {row.kind: row for row in browser.get(reverse(LIST)).context["cl"].result_list}
    assert {kind: (row.standing.remaining, row.standing.pending) for kind, row in rows.items()} == {
        "minute": (2, False),
        "gap": (0, True),
        "day": (0, True),
    }
    shown = browser.get(reverse(LIST)).content.decode()
    for text in ("3 posts in any 10 minutes", "45 s between posts", "1 post in any day", "all entities together", "when a post under way"):
        assert text in shown


def test_beginning_anew_asks_first_and_then_tells_who_did_it(browser: Client) -> None:
    who = build.entity(slug="owl")
    limit, other = build.limit(entity=who, kind="minute", amount=1), build.limit(entity=who, kind="hour", amount=2)
    build.permit(entity=who, state="spent")
    build.permit(entity=who, state="spent", settled_at=clock.now() - timedelta(minutes=5))
    asked = browser.post(reverse(LIST), chosen(limit))
    assert asked.status_code == 200
    assert "1 post in any minute, owl" in asked.content.decode()
    assert not Permit.objects.filter(state="forgiven").exists()
    assert browser.post(reverse(LIST), chosen(limit, sure="yes"), follow=True).status_code == 200
    assert Permit.objects.filter(state="forgiven").count() == 1
    assert Event.objects.get(kind="limits.reset").detail["who"] == "admin"
    browser.post(reverse(LIST), chosen(limit, other, sure="yes"))
    assert Permit.objects.filter(state="forgiven").count() == 2


def test_the_limits_of_entities_begin_anew_from_their_list(browser: Client) -> None:
    one, two = build.entity(), build.entity()
    for who in (one, two):
        build.limit(entity=who, kind="hour", amount=1)
        build.permit(entity=who, state="spent")
    address = reverse("admin:entities_entity_changelist")
    assert f"all limits of {one}" in browser.post(address, chosen(one)).content.decode()
    browser.post(address, chosen(one, sure="yes"))
    assert [Permit.objects.get(entity=who).state for who in (one, two)] == ["forgiven", "spent"]


def test_who_may_only_look_cannot_begin_anew() -> None:
    limit = build.limit(kind="hour", amount=1)
    build.permit(entity=limit.entity, state="spent")
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_ratelimit"))
    client = Client()
    client.force_login(looker)
    client.post(reverse(LIST), chosen(limit, sure="yes"))
    assert Permit.objects.get().state == "spent"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "gap", "amount": 45, "every": 2}, "A gap has no window"),
        ({"kind": "minute", "amount": 2, "every": 1}, "There is such a limit already"),
        ({"kind": "minute", "amount": 0, "every": 10}, "greater than or equal to 1"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_with_a_sentence(browser: Client, values: dict[str, object], said: str) -> None:
    build.limit(entity=None, kind="minute", amount=1)
    response = browser.post(reverse("admin:entities_ratelimit_add"), values)
    assert response.status_code == 200
    assert said in response.content.decode()
    assert RateLimit.objects.count() == 1


def test_the_api_tells_each_limit_of_an_entity(browser: Client) -> None:
    who, feed = build.entity(slug="owl"), build.feed(name="main")
    build.limit(entity=who, feed=feed, kind="minute", every=10, amount=1)
    build.permit(entity=who, feed=feed)
    told = browser.get("/api/v1/entities/owl/limits/").json()
    assert told["allowed"]  # elsewhere it may post
    (limit,) = told["limits"]
    free_at = limit.pop("free_at")
    assert free_at is not None
    assert limit == {"kind": "minute", "amount": 1, "every": 10, "feed": "main", "shared": False, "remaining": 0, "pending": True}
