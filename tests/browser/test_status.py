"""The status page in a real browser: live without reloading, on every width, by keyboard, and when something is lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from playwright.sync_api import Page, expect

from conversations import read
from conversations.models import Reply
from conversations.stop import stop
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.monitoring import stream
from tests import build
from tests.browser.looks import fits, serious
from tests.browser.scene import crowd, evening
from tests.browser.serving import QUIET, Served

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), *QUIET]

LIVE = "live, as it happens"
ASKING = "live, asking every 2 s"


# --- live --------------------------------------------------------------------------------------------------------
def test_what_happens_appears_by_the_stream_without_reloading(watching: Page) -> None:
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    watching.evaluate("window.same = true")
    server = build.server(name="Mac Studio 1")
    wake(Channel.SERVE)
    expect(watching.get_by_role("heading", name="Mac Studio 1")).to_be_visible()
    build.placement(server=server, model=build.model(key="qwen/qwen3-8b"), state="loading")
    expect(watching.locator(".load")).to_contain_text("left")  # nobody said anything: it was looked at all the same
    build.reply(state="posted", text="A river is slow rain.")
    expect(watching.locator(".answer .said")).to_contain_text("A river is slow rain.")
    server.delete()
    expect(watching.get_by_text("No server yet.", exact=True)).to_be_visible()
    assert watching.evaluate("window.same")
    expect(watching.locator("#link")).to_have_text(LIVE)


def test_without_a_stream_it_asks_and_says_so(page: Page) -> None:
    page.goto("/status/")
    expect(page.locator("#link")).to_have_text(ASKING)
    build.server(name="Mac Studio 1")
    expect(page.get_by_role("heading", name="Mac Studio 1")).to_be_visible()


def test_a_stream_that_is_cut_is_replaced_by_asking_and_comes_back(watching: Page, complaints: list[str]) -> None:
    watching.route("**/status/stream/", lambda route: route.abort())
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(ASKING)
    watching.unroute("**/status/stream/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    complaints.clear()


def test_a_web_server_that_is_away_is_told_and_what_was_true_stays(watching: Page, served: Served, complaints: list[str]) -> None:
    build.server(name="Mac Studio 1")
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    expect(watching.locator(".lost")).to_be_hidden()
    watching.context.set_offline(True)
    served.stop()
    expect(watching.locator(".lost")).to_contain_text("No contact with the web server.")
    expect(watching.get_by_role("heading", name="Mac Studio 1")).to_be_visible()
    watching.context.set_offline(False)
    back = Served(port=served.port)
    expect(watching.locator("#link")).to_have_text(LIVE)
    expect(watching.locator(".lost")).to_be_hidden()
    watching.goto("about:blank")
    back.stop()
    complaints.clear()


def test_a_lost_database_is_told_and_forgotten(watching: Page) -> None:
    build.server(name="Mac Studio 1")
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    with away("cluster_server"):
        expect(watching.locator(".lost")).to_contain_text("The database does not answer. What is below was true at")
        expect(watching.get_by_role("heading", name="Mac Studio 1")).to_be_visible()
    expect(watching.locator(".lost")).to_be_hidden()


@contextmanager
def away(table: str) -> Iterator[None]:
    """The database refuses whoever asks for a table."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table}_away RENAME TO {table}")


def test_whose_login_ends_is_sent_to_the_login(watching: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_S", 0.3)
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    Session.objects.all().delete()
    watching.wait_for_url("**/admin/login/?next=/status/")


def test_paused_nothing_moves(watching: Page) -> None:
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    watching.keyboard.press("p")
    expect(watching.locator("#link")).to_contain_text("paused at")
    build.server(name="Mac Studio 1")
    wake(Channel.SERVE)
    with watching.expect_response("**/status/stream/"):
        expect(watching.get_by_text("No server yet.", exact=True)).to_be_visible()
        watching.get_by_role("button", name="Pause").click()
    expect(watching.get_by_role("heading", name="Mac Studio 1")).to_be_visible()


def test_numbers_that_change_move_nothing(watching: Page) -> None:
    evening()
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    watching.evaluate("""() => {
        window.moved = 0;
        new PerformanceObserver((list) => { for (const one of list.getEntries()) window.moved += one.value; }).observe({type: "layout-shift"});
    }""")
    waiting = build.generation(model=build.LanguageModel.objects.get(key="llama-3.3-70b"), priority=50)
    wake(Channel.SERVE)
    expect(watching.locator(".row", has_text="llama-3.3-70b").locator(".count b")).to_have_text("6")
    waiting.delete()
    wake(Channel.SERVE)
    expect(watching.locator(".row", has_text="llama-3.3-70b").locator(".count b")).to_have_text("5")
    assert watching.evaluate("window.moved") < 0.01


# --- by hand -----------------------------------------------------------------------------------------------------
def test_an_answers_request_is_fetched_when_it_is_opened_and_stays_open(watching: Page) -> None:
    reply = build.reply(state="held", generation=build.generation(state="done", text="<b>raw</b>"))
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    watching.get_by_text("request", exact=True).click()
    expect(watching.locator(".turn.user pre")).to_have_text("Hello?")
    expect(watching.locator(".turn.written pre")).to_have_text("<b>raw</b>")
    watching.context.grant_permissions(["clipboard-read", "clipboard-write"])
    watching.locator(".turn.user button").click()
    expect(watching.locator(".turn.user button")).to_have_text("Copied")
    assert watching.evaluate("navigator.clipboard.readText()") == "Hello?"
    Reply.objects.filter(pk=reply.pk).update(text="Another text.")
    expect(watching.locator(".answer .said")).to_contain_text("Another text.")
    expect(watching.locator(".turn.user pre")).to_be_visible()
    watching.locator(".whylink a").click()
    watching.wait_for_url(f"**/why/reply/{reply.pk}")


def test_it_is_used_by_keyboard(watching: Page) -> None:
    evening()
    watching.goto("/status/")
    expect(watching.locator("#link")).to_have_text(LIVE)
    focused = "document.activeElement.dataset.key || ''"
    watching.keyboard.press("j")
    first = watching.evaluate(focused)
    assert first.startswith("server-")
    watching.keyboard.press("j")
    second = watching.evaluate(focused)
    assert second not in ("", first)
    outline = watching.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    watching.keyboard.press("ArrowUp")
    assert watching.evaluate(focused) == first
    watching.keyboard.press("5")
    assert watching.evaluate("document.activeElement.dataset.fold") == "answers"
    watching.locator(".answer").nth(1).focus()
    watching.keyboard.press("Enter")
    expect(watching.locator(".answer").nth(1).locator(".turn").first).to_be_visible()
    watching.keyboard.press("?")
    expect(watching.get_by_role("dialog", name="Keys")).to_be_visible()
    watching.keyboard.press("Escape")
    expect(watching.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_what_is_folded_stays_folded(page: Page) -> None:
    evening()
    page.goto("/status/")
    page.get_by_role("button", name="Queue").click()
    expect(page.locator("#queue-body")).to_be_hidden()
    page.reload()
    expect(page.locator("#queue-body")).to_be_hidden()
    expect(page.get_by_role("button", name="Queue")).to_have_attribute("aria-expanded", "false")
    page.locator("#servers h2 button").focus()
    page.keyboard.press("c")
    expect(page.locator("#servers-body")).to_be_hidden()


def test_all_posting_is_stopped_and_resumed_from_here(page: Page) -> None:
    page.goto("/status/")
    page.get_by_role("button", name="Stop posting…").click()
    page.get_by_label("Why").fill("it swears")
    page.get_by_role("button", name="Yes, stop all posting").click()
    expect(page.locator(".trouble.stop")).to_contain_text("by admin: it swears")
    assert read.stopped() is not None
    page.get_by_role("button", name="Resume…").click()
    page.get_by_role("button", name="Yes, resume posting").click()
    expect(page.locator(".trouble.stop")).to_have_count(0)
    assert read.stopped() is None


# --- how it looks ------------------------------------------------------------------------------------------------
def test_it_fits_and_axe_finds_nothing_serious(page: Page) -> None:
    evening()
    stop("ann", "w" * 300)
    long = "Donaudampfschifffahrtsgesellschaft" * 8
    build.reply(state="failed", message=build.message(text=long, username=long[:200]), text=long, reason=long)
    build.server(name="s" * 90, state="offline", state_reason=long)
    for look, width in (("dark", 3840), ("terminal", 360), ("light", 1280)):
        page.set_viewport_size({"width": width, "height": 1200})
        page.goto("/status/")
        page.evaluate(f"document.documentElement.dataset.theme = '{look}'")
        assert fits(page), look
        assert serious(page) == [], look


def test_the_wall_is_read_from_five_metres(page: Page) -> None:
    evening()
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.goto("/status/?screen=big")
    assert fits(page)
    sizes = page.evaluate("""() => [...document.querySelectorAll(".said .text, .card h3, .memory, .row .name")]
        .filter((node) => node.offsetParent).map((node) => parseFloat(getComputedStyle(node).fontSize))""")
    # Letters of 1/200 of the distance: 25 mm at five metres, on a screen 1.88 m wide; an ascender is about seven tenths of the size.
    assert min(sizes) * 1880 / 1920 >= 25
    page.keyboard.press("b")
    expect(page.get_by_role("button", name="Big screen")).to_have_attribute("aria-pressed", "false")


def test_two_hundred_servers_and_a_thousand_waiting_stay_readable(page: Page) -> None:
    crowd()
    for width in (360, 1920, 3840):
        page.set_viewport_size({"width": width, "height": 1080})
        page.goto("/status/")
        expect(page.locator(".card")).to_have_count(200)
        assert fits(page), width
