"""The why page in a real browser: reached from the status page, on every width, for everybody."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from conversations.models import Reply
from swwbot_site.lib import clock
from tests import build
from tests.browser.looks import fits, serious
from tests.browser.scene import evening, trouble

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

EVIL = "<img src=x onerror=\"document.title='hacked'\">"


def explained() -> Reply:
    """An answer with everything that can be told of one."""
    now = clock.now()
    generation = trouble()
    generation.request = {
        "messages": [
            {"role": "system", "content": "You are Sage. You speak in short, calm sentences.\n\nContext: Ann: does anyone plan?"},
            {"role": "user", "content": f"Ann: Sage, is a plan worth anything? {EVIL}"},
        ],
        "sampling": {"temperature": 0.7, "top_p": 0.9},
        "max_tokens": 120,
        "stop": ["###"],
    }
    generation.text = "<think>She asks about plans.</think>Sage: A plan is a letter to somebody who will know better."
    generation.save()
    said = generation.queued_at - timedelta(seconds=1.2)
    message = build.message(
        username="Ann",
        text=f"Sage, is a plan worth anything if it always changes? {EVIL}",
        timestamp=clock.millis(said - timedelta(seconds=2)),
        received_at=said,
        decided_at=said + timedelta(seconds=0.2),
        verdict={
            "why": "by chance",
            "yes": ["sage"],
            "no": {"grump": "dice 0.812 against 0.100", "chef": "has just spoken, and others may", "stella": "its limits"},
            "noes": {"dice": 1, "has just spoken, and others may": 1, "its limits": 1},
            "considered": 4,
            "facts": {"strategy": "weighted", "factors": {"question": 2.0}},
        },
    )
    return build.reply(
        state="posted",
        message=message,
        entity=build.entity(slug="wise", username="Sage"),
        mode="ambient",
        generation=generation,
        text="A plan is a letter to somebody who will know better.",
        decided_at=said + timedelta(seconds=0.2),
        ready_at=generation.ended_at + timedelta(seconds=0.05),
        accepted_at=generation.ended_at + timedelta(seconds=0.4),
        ended_at=now - timedelta(seconds=24),
        permit=build.permit(reserved_at=said + timedelta(seconds=0.2)),
        verdict={
            "rules": ["chance 0.4", "question ×2"],
            "chance": 0.8,
            "dice": 0.31,
            "factors": {"question": 2.0},
            "pick": "weighted: the luckiest of 2",
            "left": [{"rule": "10 a minute", "left": 7}, {"rule": "45 s between posts", "left": 0}],
            "shown": ["Ann: does anyone plan?", "mo: never"],
            "prompt": {"tokens": 312, "room": 8192, "dropped": []},
            "cleaned": ["thoughts removed", "own label removed"],
        },
        drafts=[{"generation": 1, "text": "Sage:", "why": "nothing was left of it after cleaning", "cleaned": ["own label removed"]}],
    )


def test_it_is_reached_from_the_status_page_and_tells_everything(page: Page) -> None:
    reply = explained()
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
    reply = explained()
    for look, width in (("dark", 3840), ("terminal", 360), ("light", 1280)):
        page.set_viewport_size({"width": width, "height": 1000})
        page.goto(f"/why/reply/{reply.pk}")
        page.evaluate(f"document.documentElement.dataset.theme = '{look}'")
        assert fits(page), look
        assert serious(page) == [], look


def test_pictures(page: Page, tmp_path: Path) -> None:
    """Takes pictures to look at, into the folder STATES, if it is named."""
    folder = Path(os.environ.get("STATES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    evening()
    reply = explained()
    for name, path, width in (
        ("why", f"/why/reply/{reply.pk}", 1280),
        ("why", f"/why/reply/{reply.pk}", 360),
        ("why-message", f"/why/message/{reply.message_id}", 1280),
    ):
        page.set_viewport_size({"width": width, "height": 1000})
        page.goto(path)
        page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
