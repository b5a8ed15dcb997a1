"""The global stop and requeueing at the doors: commands, the admin's switch, and every place that must say how it stands."""

import json
from io import StringIO

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from conversations import read
from conversations.models import ConversationPolicy, Reply
from conversations.stop import stop
from swwbot_site.monitoring import doctor
from tests import build

pytestmark = pytest.mark.django_db


def said(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def switch() -> str:
    return reverse("admin:conversations_conversationpolicy_switch")


def test_stop_and_resume_say_what_they_did() -> None:
    assert said("resume").strip() == "Posting was not stopped."
    assert "Posting is stopped" in said("stop", "--why", "it swears", "--by", "ann")
    assert "by ann: it swears" in said("stop")
    assert said("resume").strip() == "Answers are posted again."
    assert read.stopped() is None


def test_everybody_who_looks_is_told_of_the_stop(browser: Client) -> None:
    assert b"osting is stopped" not in browser.get(reverse("status")).content
    assert json.loads(said("clusterstatus", "--json"))["stopped"] is None
    stop("ann", "it <swears>")
    assert "it <swears>" in said("clusterstatus")
    assert json.loads(said("clusterstatus", "--json"))["stopped"]["by"] == "ann"
    assert [(part.verdict, "ann" in part.text) for part in doctor._posting()] == [("warning", True)]
    assert "it &lt;swears&gt;" in browser.get(reverse("status-live")).content.decode()
    for page in ("admin:index", "admin:conversations_reply_changelist", "admin:conversations_conversationpolicy_change"):
        arguments = [1] if page.endswith("change") else []
        assert b"osting is stopped" in browser.get(reverse(page, args=arguments)).content, page
    assert browser.get("/healthz").status_code == 200


def test_the_switch_asks_first_and_then_does_it(browser: Client) -> None:
    page = browser.get(reverse("admin:conversations_conversationpolicy_changelist"), follow=True)
    assert b"Stop all posting" in page.content
    assert b"Yes, stop all posting" in browser.post(switch(), {"verb": "stop", "why": "it swears"}).content
    assert read.stopped() is None
    assert browser.post(switch(), {"verb": "stop", "why": "it swears", "sure": "yes"}).status_code == 302
    row = read.stopped()
    assert row is not None
    assert (row.by, row.why) == ("admin", "it swears")
    assert b"Yes, resume posting" in browser.post(switch(), {"verb": "resume"}).content
    browser.post(switch(), {"verb": "resume", "sure": "yes"})
    assert read.stopped() is None


def test_nothing_is_stopped_by_a_link_without_a_token_or_by_strangers(browser: Client, staff: User) -> None:
    assert browser.get(switch()).status_code == 405
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(staff)
    assert careful.post(switch(), {"verb": "stop", "sure": "yes"}).status_code == 403
    assert Client().post(switch(), {"verb": "stop", "sure": "yes"}).status_code == 302
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_conversationpolicy"))
    visitor = Client()
    visitor.force_login(reader)
    assert visitor.post(switch(), {"verb": "stop", "sure": "yes"}).status_code == 403
    assert read.stopped() is None


def test_saving_the_policy_does_not_touch_the_stop(browser: Client) -> None:
    browser.get(reverse("admin:conversations_conversationpolicy_changelist"))
    stop("ann")
    data = {"filter_out": "[]", "trim_after": "[]", "stop": '["###"]', "warmup": "[]", "try_again": "on", "require_human_s": "0"}
    response = browser.post(reverse("admin:conversations_conversationpolicy_change", args=[1]), data)
    assert response.status_code == 302, response.context["errors"]
    row = ConversationPolicy.objects.get()
    assert (row.stopped, row.stopped_by, row.stop) == (True, "ann", ["###"])


def test_the_requeue_command_says_of_each_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    reply = build.reply(state="failed", text="Hello.")
    with pytest.raises(CommandError, match="1 of 2 cannot be requeued"):
        call_command("requeue", str(reply.pk), "99999")
    told = capsys.readouterr()
    assert f"Reply {reply.pk} is ready." in told.out
    assert "There is no reply 99999." in told.err
    assert Reply.objects.get().judged_by == "the command line"
