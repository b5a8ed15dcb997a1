"""What an administrator sees and does, in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from entities.models import Entity
from tests import build
from tests.browser.looks import fits
from tests.browser.scene import evening, trouble

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = (360, 768, 1280, 1920)
EVIL = "<img src=x onerror=\"document.title='hacked'\">"


def test_the_status_page_shows_servers_queue_and_answers(page: Page) -> None:
    evening()
    page.goto("/status/")
    expect(page.get_by_role("heading", name="Mac Studio 1")).to_be_visible()
    expect(page.get_by_text("A river is rain that remembers")).to_be_visible()
    expect(page.get_by_text("critical 1")).to_be_visible()
    expect(page.locator(".trouble")).to_have_count(0)


def test_the_status_page_redraws_itself(page: Page) -> None:
    page.goto("/status/")
    expect(page.get_by_text("No server yet.", exact=True)).to_be_visible()
    build.server(name="Mac Studio 1")
    expect(page.get_by_role("heading", name="Mac Studio 1")).to_be_visible()


def test_the_status_page_says_when_it_is_out_of_date(page: Page, complaints: list[str]) -> None:
    page.goto("/status/")
    expect(page.locator(".lost")).to_be_hidden()
    page.context.set_offline(True)
    expect(page.locator(".lost")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator(".lost")).to_be_hidden()
    complaints.clear()


def test_chat_text_is_only_text(page: Page) -> None:
    build.reply(state="posted", message=build.message(text=EVIL, username=EVIL), text=EVIL, username="Sage")
    page.goto("/status/")
    expect(page.locator(".answer .text").first).to_have_text(EVIL)
    expect(page).to_have_title(re.compile("^Status"))


def test_the_status_page_fits_every_width(page: Page) -> None:
    evening()
    long = "Donaudampfschifffahrtsgesellschaft" * 8
    build.reply(
        state="posted",
        message=build.message(text=long),
        text=long,
        generation=build.generation(state="done", model=build.model(key="m" * 200)),
    )
    build.server(name="s" * 90, state="offline", state_reason=long)
    build.feed(name="broken", failures=2, error=long)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/status/")
        assert fits(page), width


def test_an_empty_status_page_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto("/status/")
    expect(page.get_by_text("No engine is running")).to_be_visible()
    assert fits(page)


def test_an_entity_can_be_switched_off_in_its_form(page: Page) -> None:
    row = build.entity(slug="philosopher", username="Sage")
    page.goto(f"/admin/entities/entity/{row.pk}/change/")
    page.uncheck("input[name=enabled]")
    page.fill("textarea[name=disabled_reason]", "on holiday")
    page.click("button[name=_save]")
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    row.refresh_from_db()
    assert (row.enabled, row.disabled_reason) == (False, "on holiday")


def test_an_entity_can_be_switched_off_in_the_list(page: Page) -> None:
    row = build.entity(slug="philosopher", username="Sage")
    page.goto("/admin/entities/entity/")
    page.check(f"input.action-select[value='{row.pk}']")
    page.select_option("select[name=action]", "disable")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("1 switched off.")).to_be_visible()
    assert not Entity.objects.get(pk=row.pk).enabled


def test_the_admins_pages_open_without_complaints(page: Page, complaints: list[str]) -> None:
    evening()
    asked = trouble()
    rows = {
        "generation": asked,
        "placement": asked.placement,
        "languagemodel": asked.model,
        "offer": asked.model.offers.get(),
        "notice": build.notice(),
        "share": build.share(),
        "clusterpolicy": build.policy(),
        "server": asked.server,
    }
    lists = (
        "conversations/reply",
        "conversations/message",
        "swwbot_site/event",
        "swwbot_site/configimport",
        *(f"cluster/{name}" for name in rows),
    )
    paths = [*(f"{name}/" for name in lists), *(f"cluster/{name}/{row.pk}/change/" for name, row in rows.items()), "cluster/server/add/"]
    for path in paths:
        page.goto(f"/admin/{path}")
        expect(page.locator("#content, main").first).to_be_visible()
        assert complaints == [], path
