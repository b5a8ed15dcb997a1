"""What a person does with answers and with the stop, in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from conversations import read
from conversations.models import Reply
from tests import build
from tests.browser.looks import fits

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_answer_on_hold_is_changed_and_approved(page: Page) -> None:
    reply = build.reply(state="held", text="Rivers are slow rain.", username="Sage")
    page.goto("/admin/")
    page.get_by_role("link", name="On hold").click()
    page.get_by_role("link", name=str(reply.pk), exact=True).click()
    page.get_by_label("What Sage says").fill("Rivers are rain that remembers.")
    page.get_by_role("button", name="Approve…").click()
    expect(page.get_by_text("Rivers are rain that remembers.")).to_be_visible()
    assert fits(page)
    page.get_by_role("button", name="Yes, post it").click()
    expect(page.get_by_text("1 answer is approved.")).to_be_visible()
    expect(page.get_by_role("button", name="Approve…")).to_have_count(0)
    reply.refresh_from_db()
    assert (reply.state, reply.text, reply.original) == ("ready", "Rivers are rain that remembers.", "Rivers are slow rain.")


def test_many_are_rejected_in_the_list_with_a_reason(page: Page) -> None:
    for text in ("One.", "Two."):
        build.reply(state="held", text=text)
    page.goto("/admin/conversations/reply/?state__exact=held")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("reject_chosen")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Why, for the record").fill("too rude")
    page.get_by_role("button", name="Yes, reject it").click()
    expect(page.get_by_text("2 answers are rejected.")).to_be_visible()
    assert set(Reply.objects.values_list("state", "reason")) == {("dropped", "rejected by admin: too rude")}


def test_posting_is_stopped_and_resumed(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto("/admin/conversations/conversationpolicy/")
    page.get_by_label("Why, for the record").fill("it swears")
    page.get_by_role("button", name="Stop all posting…").click()
    confirm = page.get_by_role("button", name="Yes, stop all posting")
    expect(confirm).to_be_visible()
    assert fits(page)
    confirm.click()
    expect(page.get_by_role("heading", name="Posting is stopped")).to_be_visible()
    assert fits(page)
    page.goto("/status/")
    expect(page.get_by_text("Posting is stopped since")).to_be_visible()
    assert read.stopped() is not None
    page.goto("/admin/conversations/conversationpolicy/")
    page.get_by_role("button", name="Resume posting…").click()
    page.get_by_role("button", name="Yes, resume posting").click()
    expect(page.get_by_role("heading", name="Answers are posted")).to_be_visible()
    assert read.stopped() is None
