"""What strangers write is shown in a real browser, and nothing of it happens: no dialog, no request elsewhere, nothing refused by the policy."""

import pytest
from playwright.sync_api import Page, expect

from tests import build
from tests.doors import evil

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_nothing_that_strangers_write_happens(page: Page, complaints: list[str]) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url) if evil.MARK in request.url.partition("?")[0] else None)
    replies, model = [], build.model(key=evil.MESSAGES[29][:60])
    for number, text in enumerate(evil.MESSAGES):
        plain = text.replace("\0", "")
        server = build.server(name=f"{number} {plain}"[:60], state="offline", state_reason=plain) if number < 6 else None
        message = build.message(text=plain, username=plain[:200], color=plain[:100], verdict={"why": plain})
        done = build.generation(state="done", model=model, server=server, text=plain)
        replies.append(build.reply(state="posted", message=message, text=plain, username=plain[:16], generation=done, reason=plain))
        build.event(text=plain, subject=plain[:60])
    build.generation(model=model, decision={"waits": evil.MESSAGES[0]})
    worst = [replies[number] for number in (0, 4, 29, 34)]
    entity = worst[1].entity
    entity.system_prompt = evil.MESSAGES[27] + evil.MESSAGES[38]
    entity.save()
    paths = [
        "/status/",
        *(f"/why/reply/{reply.pk}" for reply in worst),
        f"/why/message/{worst[2].message_id}",
        *(f"/admin/conversations/{name}/" for name in ("message", "reply")),
        f"/admin/conversations/reply/{worst[0].pk}/change/",
        f"/admin/conversations/message/{worst[2].message_id}/change/",
        f"/admin/entities/entity/{entity.pk}/change/",
        "/admin/cluster/server/",
        "/admin/swwbot_site/event/",
        "/admin/",
    ]
    for path in paths:
        page.goto(path)
        expect(page.locator("main, #content, #live, body").first).to_be_visible()
        page.wait_for_load_state("load")
        assert page.evaluate(f"window.{evil.MARK} === undefined"), path
        assert not complaints, f"{path}: {complaints}"
    assert asked == []


def test_no_page_of_ours_wants_what_its_policy_refuses(page: Page, complaints: list[str]) -> None:
    for path in ("/status/", "/admin/", "/admin/cluster/server/add/", "/admin/entities/entity/add/", "/api/docs/"):
        page.goto(path)
        page.wait_for_load_state("load")
        expect(page.locator("body")).to_be_visible()
        assert not complaints, f"{path}: {complaints}"


def test_a_script_that_got_into_a_page_would_not_run(page: Page, complaints: list[str]) -> None:
    page.goto("/status/")
    page.evaluate(f"document.body.insertAdjacentHTML('beforeend', \"<img src='data:,' onerror='window.{evil.MARK}=1'>\")")
    page.evaluate(f"const s = document.createElement('script'); s.textContent = 'window.{evil.MARK}=1'; document.body.append(s)")
    assert page.evaluate(f"window.{evil.MARK} === undefined")
    assert any("Content Security Policy" in one for one in complaints)
    complaints.clear()
