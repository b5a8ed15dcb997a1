"""`manage.py prune`, and pages about what is not kept any more."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from cluster.models import Generation
from conversations.models import Feed, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.models import Event
from swwbot_site.retention.row import Retention
from tests import build
from tests.verbs.retention import ages
from tests.verbs.retention.ages import ago, whole

pytestmark = pytest.mark.django_db


def run(name: str, *args: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(name, *args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def told(*args: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run("prune", "--json", *args)[0])
    return answer


def old(count: int = 3) -> None:
    for _ in range(count):
        ages.reply(generation=build.generation(state="done", queued_at=ago(), ended_at=ago()))
    build.event(at=ago())
    ages.counted()


def test_it_throws_away_what_is_old_and_says_what() -> None:
    old()
    new = ages.reply(1)
    answer = told()
    assert answer["gone"] == {"messages": 3, "replies": 3, "requests": 3, "events": 1}
    assert answer["database_bytes"] > 1_000_000
    assert list(Reply.objects.all()) == [new]
    assert told()["gone"] == {}
    assert "Nothing is old enough" in run("prune")[0]


def test_a_dry_run_counts_and_changes_nothing() -> None:
    old()
    answer = told("--dry-run")
    assert answer["gone"] == {"messages": 3, "details of requests": 3, "details of messages": 3, "details of answers": 3, "events": 1}
    assert Message.objects.count() == Generation.objects.count() == 3
    assert Event.objects.count() == 1
    assert Feed.objects.get().forgotten is None
    assert not Retention.objects.exists()
    assert "would go" in run("prune", "--dry-run")[0]


def test_it_ends_a_round_that_an_engine_has_begun() -> None:
    old()
    ages.policy(kind="requests", due_at=None, counts={"messages": 2})
    assert told()["gone"]["messages"] == 2


def test_the_policy_is_one_row_in_the_admin(browser: Client) -> None:
    page = reverse("admin:swwbot_site_retention_change", args=[1])
    assert browser.get(reverse("admin:swwbot_site_retention_changelist")).headers["Location"] == page
    assert browser.get(page).status_code == 200
    days = {field.name: field.get_default() for field in Retention._meta.fields if field.name.endswith(("_days", "_most"))}
    assert browser.post(page, days | {"messages_days": 7}).status_code == 302
    row = Retention.objects.get()
    assert (row.messages_days, row.details_days, row.kind) == (7, 30, "")
    assert browser.get(reverse("admin:swwbot_site_retention_add")).status_code == 403
    assert browser.get(reverse("admin:swwbot_site_retention_delete", args=[1])).status_code == 403


def test_the_why_page_says_what_is_not_kept_any_more(browser: Client) -> None:
    at = ago(40)
    row = ages.reply(40, generation=build.generation(state="done", queued_at=at, ended_at=at, text="Secret words."))
    page = reverse("why-reply", args=[row.pk])
    assert "Secret words." in browser.get(page).content.decode()
    whole()
    body = browser.get(page).content.decode()
    assert "Secret words." not in body
    for text in ("The prompt is not kept any more.", "What was written is not kept any more.", "Who else was considered"):
        assert text in body
    assert browser.get(reverse("admin:conversations_reply_change", args=[row.pk])).status_code == 200
    assert browser.get(reverse("admin:cluster_generation_change", args=[row.generation_id])).status_code == 200
    assert "not kept" not in run("trace", f"reply:{row.pk}")[0]
    Message.objects.all().update(received_at=ago(), decided_at=ago(), timestamp=clock.millis(ago()))
    Reply.objects.update(ended_at=ago())
    whole(positions={})
    assert browser.get(page).status_code == 404
    with pytest.raises(CommandError, match="or it is not kept any more"):
        run("trace", f"reply:{row.pk}")


def test_a_replay_says_that_its_beginning_is_not_kept() -> None:
    ages.message(1, text="Hi")
    whole()
    assert "is not all kept any more" in run("replay", "--since", "95d")[1]
    assert run("replay", "--since", "5d")[1] == ""
    with pytest.raises(CommandError, match="is not all kept any more"):
        run("replay", "--since", "99d", "--until", "95d")
