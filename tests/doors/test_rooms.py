"""A room in the admin: made with its members, changed, and refused where it makes no sense."""

from django.test import Client
from django.urls import reverse

from conversations.models import Feed, Room
from tests import build

LIST = "admin:conversations_room_changelist"


def form(**over: object) -> dict[str, object]:
    blank = {"feed": "", "domain": "", "entities": [], "max_repliers": "", "max_bot_run": "", "strategy": "", "silence_s": ""}
    return blank | over


def test_a_room_is_made_with_its_members_and_changed(browser: Client) -> None:
    feed, one, two = build.feed(), build.entity(), build.entity()
    made = form(feed=feed.pk, domain="library.example", entities=[one.pk, two.pk], max_repliers=0, strategy="round-robin")
    assert browser.post(reverse("admin:conversations_room_add"), made).status_code == 302
    room = Room.objects.get()
    assert (room.max_repliers, room.max_bot_run, room.strategy) == (0, None, "round-robin")
    assert set(room.entities.all()) == {one, two}
    assert "2 entities" in browser.get(reverse(LIST)).text
    changed = made | {"entities": [], "silence_s": 30}
    assert browser.post(reverse("admin:conversations_room_change", args=[room.pk]), changed).status_code == 302
    room.refresh_from_db()
    assert (room.silence_s, room.entities.count()) == (30.0, 0)
    assert "everybody" in browser.get(reverse(LIST)).text


def test_a_strategy_that_is_not_there_is_refused_with_those_that_are(browser: Client) -> None:
    feed = build.feed()
    page = browser.post(reverse("admin:conversations_room_add"), form(feed=feed.pk, domain="a.example", strategy="loudest")).text
    assert "There is no reply strategy" in page
    assert "least-recent, natural" in page
    assert not Room.objects.exists()
    page = browser.post(
        reverse("admin:conversations_feed_change", args=[feed.pk]), {"name": feed.name, "url": feed.url, "strategy": "x"}
    ).text
    assert "There is no reply strategy" in page
    assert Feed.objects.get().strategy == "natural"
