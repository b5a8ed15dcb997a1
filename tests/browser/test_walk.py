"""The walk of a new user with everything running, by the pages alone: from the first login to work that moves to a server of his own."""

import gc
import json
from collections.abc import Iterator

import httpx
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from cluster.lmstudio.emulator import Emulator as Studio
from conversations import read
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.values import Generation as Kind
from conversations.models import Message, Reply
from swwbot_site.lib import clock
from tests.browser.looks import fits, serious
from tests.browser.serving import QUIET, Served, opened
from tests.harness import Background, engines, until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), *QUIET]

MODEL = "maker/small:4"
PASSWORD = "correct horse"


class Stage:
    """Three emulated servers, of which the document names two, an emulated chat, an engine and the site; `page` is a stranger's."""

    def __init__(self, loop: Background, url: str, page: Page) -> None:
        self._loop, self.page, self.url = loop, page, url
        self.servers = [Studio(models=[MODEL], memory_gb=32) for _ in range(3)]
        self.chat = Chat(Kind("do"))
        for one in (*self.servers, self.chat):
            loop.run(one.start())

    def close(self) -> None:
        for one in (*self.servers, self.chat):
            self._loop.run(one.stop())

    def document(self) -> str:
        """What a new user would have in his file: two servers, the chat, and two personas that answer whoever names them."""
        personas = {"sage": "Sage", "owl": "Owl"}
        return json.dumps(
            {
                "lmStudioServers": [
                    {"name": name, "url": one.url, "enabled": True, "capabilities": {"maxMemory": 32}}
                    for name, one in zip(("Attic", "Cellar"), self.servers, strict=False)
                ],
                "feeds": [{"name": "chat", "url": self.chat.url, "pollingInterval": 500}],
                "entities": [
                    {"id": slug, "username": name, "model": "maker/small", "systemPrompt": f"You are {name}.", "responseChance": 0}
                    for slug, name in personas.items()
                ],
            }
        )

    def say(self, text: str) -> None:
        """A human says something in the chat."""
        now = clock.millis(clock.now())
        sent = {"id": f"{now}-human", "text": text, "username": "Ann", "timestamp": now}
        assert httpx.post(f"{self.chat.url}/comments", json=sent, timeout=10, trust_env=False).status_code == 200

    def choose(self, path: str, name: str) -> None:
        """Open the row of this name in a list of the admin."""
        self.page.goto(path)
        self.page.locator("#result_list").get_by_role("link", name=name, exact=True).click()


@pytest.fixture
def stage(chromium: Browser, background: Background, complaints: list[str]) -> Iterator[Stage]:
    """Everything runs, and nothing is set up but the first administrator."""
    User.objects.create_superuser("admin", password=PASSWORD)
    served = Served()
    with opened(chromium, served.url, complaints) as page, engines():
        one = Stage(background, served.url, page)
        yield one
        page.goto("about:blank")
    one.close()
    served.stop()
    gc.collect()


def test_a_new_user_walks_from_the_first_login_to_work_on_a_server_of_his_own(stage: Stage) -> None:
    page = stage.page

    # First login.
    page.goto("/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/status/")
    expect(page.locator(".trouble")).to_contain_text("There is no server and no feed and no entity yet.")

    # Import.
    page.get_by_role("link", name="import a configuration").click()
    page.get_by_label("or its text").fill(stage.document())
    page.get_by_role("button", name="Show what it would change").click()
    expect(page.get_by_role("cell", name="Cellar")).to_be_visible()
    assert fits(page)
    assert serious(page) == []
    page.get_by_role("button", name="Yes, import it").click()
    expect(page.get_by_text("2 servers added")).to_be_visible()

    # An answer arrives by itself.
    page.goto("/status/")
    expect(page.locator(".card .state").filter(has_text="online")).to_have_count(2)
    expect(page.locator(".fine")).to_be_visible()
    page.evaluate("window.same = true")
    stage.say("Sage, are rivers slow rain?")
    expect(page.locator(".answer.posted")).to_have_count(1)
    expect(page.locator(".answer .asked")).to_contain_text("are rivers slow rain?")
    assert page.evaluate("window.same"), "nothing was loaded anew"

    # Why.
    page.get_by_role("link", name="Why Sage answered so").click()
    page.wait_for_url("**/why/reply/*")
    for words in ("Sage's answer", "prompt read, first token", "part of the slots taken", "You are Sage.", "expected-time"):
        expect(page.locator("main")).to_contain_text(words)
    assert "number 1" not in page.locator("main").inner_text()

    # An entity is switched off, and keeps silent.
    stage.choose("/admin/entities/entity/", "sage")
    page.uncheck("input[name=enabled]")
    page.fill("textarea[name=disabled_reason]", "on holiday")
    page.click("button[name=_save]")
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    stage.say("Sage, and the sea?")
    until(lambda: Message.objects.filter(text="Sage, and the sea?", decided_at__isnull=False).exists(), what="a decision")
    assert Reply.objects.count() == 1

    # A third server by form, and the others let go: work moves.
    page.goto("/admin/cluster/server/add/")
    page.fill("input[name=name]", "Garage")
    page.fill("input[name=url]", stage.servers[2].url)
    page.fill("input[name=budget_gb]", "32")
    page.click("button[name=_save]")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    page.locator("#action-toggle").check()
    page.locator("#result_list").get_by_role("row", name="Garage").locator("input.action-select").uncheck()
    page.locator("select[name=action]").select_option("drain")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Yes, drain").click()
    expect(page.get_by_text("2 draining.")).to_be_visible()
    page.goto("/status/")
    garage = page.locator(".card", has=page.get_by_role("heading", name="Garage"))
    expect(garage.locator(".state")).to_have_text("online")
    stage.say("Owl, what do you hear at night?")
    expect(page.locator(".answer.posted", has_text="what do you hear").locator(".meta")).to_contain_text("Garage")
    expect(garage.locator(".models")).to_contain_text("maker/small")

    # All posting is stopped, holds what is ready, and goes on.
    page.get_by_role("button", name="Stop posting…").click()
    page.get_by_role("textbox", name="Why").fill("it swears")
    page.get_by_role("button", name="Yes, stop all posting").click()
    expect(page.locator(".trouble.stop")).to_contain_text("by admin: it swears")
    expect(page.get_by_role("button", name="Stop posting…")).to_be_hidden()
    stage.say("Owl, and by day?")
    expect(page.locator(".answer.ready", has_text="and by day?")).to_be_visible()
    page.get_by_role("button", name="Resume…").click()
    page.get_by_role("button", name="Yes, resume posting").click()
    expect(page.locator(".answer.posted", has_text="and by day?")).to_be_visible()
    assert read.stopped() is None


def test_an_answer_on_hold_waits_for_a_person_and_is_posted_when_it_is_approved(stage: Stage) -> None:
    page = stage.page
    page.goto("/admin/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/admin/")
    page.goto("/admin/swwbot_site/configimport/add/")
    page.set_input_files("input[type=file]", {"name": "own.json", "mimeType": "application/json", "buffer": stage.document().encode()})
    page.get_by_role("button", name="Show what it would change").click()
    page.get_by_role("button", name="Yes, import it").click()
    expect(page.get_by_text("own.json is imported")).to_be_visible()
    stage.choose("/admin/entities/entity/", "owl")
    page.check("input[name=hold]")
    page.click("button[name=_save]")
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    stage.say("Owl, who are you?")
    page.goto("/status/")
    held = page.locator(".answer.held", has_text="who are you?")
    expect(held).to_be_visible()
    held.get_by_role("link", name="Why Owl answered so").click()
    page.get_by_role("link", name="The answer in the admin").click()
    page.get_by_label("What Owl says").fill("Somebody who stays up.")
    page.get_by_role("button", name="Approve…").click()
    page.get_by_role("button", name="Yes, post it").click()
    expect(page.get_by_text("1 answer is approved.")).to_be_visible()
    page.goto("/status/")
    expect(page.locator(".answer.posted .said")).to_contain_text("Somebody who stays up.")
