"""Judging answers in the admin: asked first, done once, only by those who may."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from conversations.models import Reply
from tests import build

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"


def judge(browser: Client, reply: Reply, **data: str) -> str:
    return browser.post(reverse("admin:conversations_reply_judge", args=[reply.pk]), data, follow=True).content.decode()


def chosen(browser: Client, action: str, *replies: Reply, **data: str) -> str:
    form = {"action": action, "_selected_action": [str(one.pk) for one in replies], **data}
    return browser.post(reverse("admin:conversations_reply_changelist"), form, follow=True).content.decode()


def state(reply: Reply) -> str:
    reply.refresh_from_db()
    return reply.state


def test_a_held_answer_is_shown_with_its_buttons_and_others_are_not(browser: Client) -> None:
    for name, buttons in {"held": ["approve", "reject"], "failed": ["requeue"], "posted": [], "waiting": []}.items():
        reply = build.reply(state=name, text="Hello.")
        page = browser.get(reverse("admin:conversations_reply_change", args=[reply.pk])).content.decode()
        assert [verb for verb in ("approve", "reject", "requeue") if f'value="{verb}"' in page] == buttons, name


def test_approving_asks_first_and_shows_text_as_text(browser: Client) -> None:
    reply = build.reply(state="held", text=EVIL, message=build.message(text=EVIL))
    asked = judge(browser, reply, verb="approve", text=EVIL)
    assert "Yes, post it" in asked
    assert EVIL not in asked
    assert state(reply) == "held"
    assert "1 answer is approved" in judge(browser, reply, verb="approve", text=EVIL, sure="yes")
    assert (state(reply), reply.judged_by, reply.original) == ("ready", "admin", "")
    assert "somebody was first" in judge(browser, reply, verb="approve", text=EVIL, sure="yes")


def test_an_edited_answer_is_approved_with_its_new_text(browser: Client) -> None:
    reply = build.reply(state="held", text="Rubbish.")
    assert "Fine." in judge(browser, reply, verb="approve", text="Fine.")
    judge(browser, reply, verb="approve", text="Fine.", sure="yes")
    assert (state(reply), reply.text, reply.original) == ("ready", "Fine.", "Rubbish.")


def test_a_text_that_does_not_fit_is_refused_with_the_reason(browser: Client) -> None:
    reply = build.reply(state="held")
    assert "The text has 300 characters" in judge(browser, reply, verb="approve", text="x" * 300, sure="yes")
    assert state(reply) == "held"


def test_a_rejection_asks_why(browser: Client) -> None:
    reply = build.reply(state="held")
    assert 'name="why"' in judge(browser, reply, verb="reject")
    assert "1 answer is rejected" in judge(browser, reply, verb="reject", why="rude", sure="yes")
    assert (state(reply), reply.reason) == ("dropped", "rejected by admin: rude")


@pytest.mark.parametrize(
    ("action", "before", "after"), [("approve", "held", "ready"), ("reject", "held", "dropped"), ("requeue", "failed", "ready")]
)
def test_many_are_judged_in_the_list_after_one_question(action: str, before: str, after: str, browser: Client) -> None:
    replies = [build.reply(state=before, text="Hello.") for _ in range(3)]
    other = build.reply(state="posted")
    asked = chosen(browser, f"{action}_chosen", *replies)
    assert asked.count('name="_selected_action"') == 3
    assert {state(one) for one in replies} == {before}
    assert "3 answers are" in chosen(browser, f"{action}_chosen", *replies, sure="yes")
    assert {state(one) for one in replies} == {after}
    assert state(other) == "posted"


def test_what_cannot_be_requeued_says_why(browser: Client) -> None:
    reply = build.reply(state="failed", text="")
    assert "not kept any more" in judge(browser, reply, verb="requeue", sure="yes")
    assert state(reply) == "failed"


def test_who_may_only_look_cannot_judge(staff: User) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_reply"))
    visitor, reply = Client(), build.reply(state="held")
    visitor.force_login(reader)
    page = visitor.get(reverse("admin:conversations_reply_change", args=[reply.pk])).content.decode()
    assert 'value="approve"' not in page
    address = reverse("admin:conversations_reply_judge", args=[reply.pk])
    assert visitor.post(address, {"verb": "approve", "sure": "yes"}).status_code == 403
    chosen(visitor, "approve_chosen", reply, sure="yes")
    assert state(reply) == "held"
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(staff)
    assert careful.post(address, {"verb": "approve", "sure": "yes"}).status_code == 403
    assert careful.get(address).status_code == 405
    assert state(reply) == "held"


@pytest.mark.parametrize("data", [{"verb": "delete"}, {}])
def test_an_unknown_deed_is_not_found(data: dict[str, str], browser: Client) -> None:
    reply = build.reply(state="held")
    assert browser.post(reverse("admin:conversations_reply_judge", args=[reply.pk]), data).status_code == 404


def test_the_list_of_those_on_hold_says_how_late_they_are_and_the_sidebar_how_many(browser: Client) -> None:
    late = build.reply(state="held", text="Hello.")
    Reply.objects.update(deadline=late.decided_at)
    page = browser.get(reverse("admin:conversations_reply_changelist"), {"state__exact": "held"}).content.decode()
    assert "waits for a person, late by" in page
    assert "On hold" in page
