"""The why page in a real browser: reached from the status page, on every width, for everybody."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import fits, serious
from tests.browser.scene import explained

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

EVIL = "<img src=x onerror=\"document.title='hacked'\">"


def test_it_is_reached_from_the_status_page_and_tells_everything(page: Page) -> None:
    reply = explained(EVIL)
    page.goto("/status/")
    page.get_by_role("link", name="Why Sage answered so").first.click()
    page.wait_for_url(f"**/why/reply/{reply.pk}")
    for words in ("fell on 31.0 %", "Attic 1 (chosen)", "made room", "thoughts removed, then own label removed", "No token for 120 s."):
        expect(page.locator("main")).to_contain_text(words)
    expect(page.locator(".turn.user pre")).to_contain_text(EVIL)
    expect(page).to_have_title("Why · Say What Want bot")
    bars = page.locator(".stages rect")
    assert bars.count() >= 8
    page.get_by_role("link", name="The message", exact=True).click()
    page.wait_for_url(f"**/why/message/{reply.message_id}")
    expect(page.get_by_text("dice 0.812 against 0.100")).to_be_visible()


def test_it_fits_and_axe_finds_nothing_serious(page: Page) -> None:
    reply = explained(EVIL)
    for look, width in (("dark", 3840), ("terminal", 360), ("light", 1280)):
        page.set_viewport_size({"width": width, "height": 1000})
        page.goto(f"/why/reply/{reply.pk}")
        page.evaluate(f"document.documentElement.dataset.theme = '{look}'")
        assert fits(page), look
        assert serious(page) == [], look
