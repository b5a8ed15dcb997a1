"""What an operator does in the admin, in a real browser: the front page, a server by form, draining, trying an entity."""

import pytest
from playwright.sync_api import Page, expect

from cluster.models import Generation, Server
from swwbot_site.lib import clock
from tests import build
from tests.browser.looks import fits, serious
from tests.browser.scene import evening

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_front_page_draws_itself_anew(page: Page) -> None:
    page.goto("/admin/")
    expect(page.get_by_text("No server yet. Add one")).to_be_visible()
    build.server(name="Attic")
    expect(page.get_by_role("link", name="Attic")).to_be_visible()


def test_a_server_is_added_by_form_and_drained(page: Page) -> None:
    page.goto("/admin/cluster/server/add/")
    page.fill("input[name=name]", "Attic")
    page.fill("input[name=url]", "http://10.0.0.7:1234")
    page.fill("input[name=budget_gb]", "96")
    page.click("button[name=_save]")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    row = Server.objects.get()
    page.goto(f"/admin/cluster/server/{row.pk}/change/")
    page.get_by_role("button", name="Drain…").click()
    expect(page.get_by_text("Let these finish what they have")).to_be_visible()
    row.refresh_from_db()
    assert not row.draining, "asked is not done"
    page.get_by_role("button", name="Yes, drain").click()
    expect(page.get_by_text("1 draining.")).to_be_visible()
    expect(page.get_by_role("button", name="End draining…")).to_be_visible()
    row.refresh_from_db()
    assert row.draining


def test_an_entity_is_tried_and_the_answer_appears(page: Page) -> None:
    build.offer(model=build.model(key="maker/small"))
    row = build.entity(slug="sage", username="Sage", model="maker/small")
    page.goto(f"/admin/entities/entity/{row.pk}/change/")
    page.get_by_role("link", name="Try it").click()
    page.get_by_label("What is said to it").fill("why is the sky blue?")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_text("Queued…")).to_be_visible()
    ended = {"state": "done", "ended_at": clock.now(), "finish_reason": "stop"}
    Generation.objects.filter(caller="try:admin").update(text="<img src=x onerror=alert(1)> It scatters.", **ended)
    expect(page.locator("[data-answer]")).to_contain_text("It scatters.")


def test_the_main_pages_fit_narrow_and_wide_in_both_lights_and_axe_finds_nothing_serious(page: Page) -> None:
    evening()
    build.event(level="error", text="Mac Mini does not answer: " + "x" * 300)
    held = build.reply(state="held", text="Rivers are slow rain.")
    server = Server.objects.get(name="Mac Studio 1")
    waiting = Generation.objects.filter(state="queued").order_by("pk")[0]
    addresses = {
        "board": "/admin/",
        "servers": "/admin/cluster/server/",
        "server": f"/admin/cluster/server/{server.pk}/change/",
        "queue": "/admin/cluster/generation/",
        "request": f"/admin/cluster/generation/{waiting.pk}/change/",
        "entities": "/admin/entities/entity/",
        "entity": f"/admin/entities/entity/{held.entity_id}/change/",
        "replies": "/admin/conversations/reply/",
        "held": f"/admin/conversations/reply/{held.pk}/change/",
        "posting": "/admin/conversations/conversationpolicy/",
        "import": "/admin/swwbot_site/configimport/add/",
    }
    page.evaluate("localStorage.setItem('adminTheme', JSON.stringify('dark'))")
    for name, address in addresses.items():
        page.set_viewport_size({"width": 1440, "height": 900})
        page.goto(address)
        expect(page.locator("html.dark #content")).to_be_visible()
        assert fits(page), f"{name}, wide"
        assert serious(page) == [], f"{name}, dark"
        page.evaluate("document.documentElement.classList.remove('dark')")
        assert serious(page) == [], f"{name}, light"
        page.set_viewport_size({"width": 360, "height": 800})
        assert fits(page), f"{name}, narrow"
