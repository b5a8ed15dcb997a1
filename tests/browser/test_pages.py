"""What an administrator sees and does, in a real browser."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from entities.models import Entity
from tests import build
from tests.browser.scene import evening, trouble

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = (360, 768, 1280, 1920)
DOCUMENTED = ("status",)
EVIL = "<img src=x onerror=\"document.title='hacked'\">"


def fits(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_the_status_page_shows_servers_queue_and_answers(page: Page) -> None:
    evening()
    page.goto("/status/")
    expect(page.get_by_role("heading", name="Mac Studio 1")).to_be_visible()
    expect(page.get_by_text("A river is rain that remembers")).to_be_visible()
    expect(page.get_by_text("critical 1")).to_be_visible()
    expect(page.locator(".trouble")).to_have_count(0)


def test_the_status_page_redraws_itself(page: Page) -> None:
    page.goto("/status/")
    expect(page.get_by_text("No server yet.")).to_be_visible()
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


@pytest.mark.parametrize("width", WIDTHS)
def test_the_status_page_fits(page: Page, width: int) -> None:
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
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/status/")
    assert fits(page)


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


@pytest.mark.parametrize(
    "path", ["", "cluster/server/", "cluster/server/add/", "conversations/reply/", "swwbot_site/event/", "cluster/clusterpolicy/1/change/"]
)
def test_the_admins_pages_open_without_complaints(page: Page, path: str) -> None:
    evening()
    build.policy()
    page.goto(f"/admin/{path}")
    expect(page.locator("#content, main").first).to_be_visible()


def test_pictures(page: Page, tmp_path: Path) -> None:
    """Takes pictures to look at; those of the documentation go to the folder PICTURES, if it is named (`make screenshots`)."""
    evening()
    server = build.Server.objects.get(name="Mac Studio 1")
    _take(
        page,
        tmp_path,
        ("status", "/status/", 1440, 1000),
        ("status-phone", "/status/", 360, 780),
        ("status-wall", "/status/", 1920, 1080),
        ("server", f"/admin/cluster/server/{server.pk}/change/", 1440, 1300),
        ("servers", "/admin/cluster/server/", 1440, 700),
        ("entities", "/admin/entities/entity/", 1440, 700),
        ("entity", f"/admin/entities/entity/{Entity.objects.order_by('pk')[0].pk}/change/", 1440, 1100),
        ("replies", "/admin/conversations/reply/", 1440, 800),
    )


def test_pictures_of_the_cluster_in_trouble(page: Page, tmp_path: Path) -> None:
    evening()
    asked = trouble()
    offer, call, share = asked.model.offers.get(), build.notice(), build.share()
    _take(
        page,
        tmp_path,
        ("status-trouble", "/status/", 1440, 1300),
        ("generation", f"/admin/cluster/generation/{asked.pk}/change/", 1440, 2100),
        ("placement", f"/admin/cluster/placement/{asked.placement_id}/change/", 1440, 1300),
        ("model", f"/admin/cluster/languagemodel/{asked.model_id}/change/", 1440, 1300),
        ("offer", f"/admin/cluster/offer/{offer.pk}/change/", 1440, 1100),
        ("call", f"/admin/cluster/notice/{call.pk}/change/", 1440, 1000),
        ("share", f"/admin/cluster/share/{share.pk}/change/", 1440, 600),
        ("policy", f"/admin/cluster/clusterpolicy/{build.policy().pk}/change/", 1440, 2500),
        *((name, f"/admin/cluster/{name}/", 1440, 800) for name in ("generation", "placement", "languagemodel", "offer", "notice", "seat")),
    )


def _take(page: Page, folder: Path, *pictures: tuple[str, str, int, int]) -> None:
    """One picture each: name, address, width and height."""
    documented = Path(os.environ.get("PICTURES") or folder)
    documented.mkdir(parents=True, exist_ok=True)
    for number, (name, path, width, height) in enumerate(pictures):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(path)
        page.wait_for_load_state("networkidle") if "/admin/" in path else expect(page.locator(".card").first).to_be_visible()
        picture = documented / f"{name}.png" if name in DOCUMENTED else folder / f"{number}-{name}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000
